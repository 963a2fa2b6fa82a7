#include "storage/log/memory_log.h"

#include <algorithm>
#include <string>
#include <utility>

#include "storage/base/crc32c.h"
#include "storage/base/status.h"

namespace naru {
namespace {

AppliedBatch Facts(const StoredBatchView& batch, int64_t forget_producers_before_ms = INT64_MIN) {
  return {batch.base_offset,      batch.next_offset, batch.leader_epoch,        batch.append_time_ms,
          batch.max_timestamp_ms, batch.producer,    forget_producers_before_ms};
}

int64_t SizeOf(const StoredBatchView& batch) { return static_cast<int64_t>(batch.bytes.size()); }

}  // namespace

void MemoryLog::Append(StoredBatchView batch, int64_t forget_producers_before_ms) {
  state_.Append(Facts(batch, forget_producers_before_ms));
  size_bytes_ += SizeOf(batch);
  batches_.push_back(std::move(batch));
}

void MemoryLog::MoveStart(Offset start) {
  if (!state_.MoveStart(start)) return;
  while (!batches_.empty() && batches_.front().next_offset <= start) {
    size_bytes_ -= SizeOf(batches_.front());
    batches_.pop_front();
  }
}

void MemoryLog::Truncate(Offset end) {
  if (end >= state_.end()) return;
  while (!batches_.empty() && batches_.back().next_offset > end) {
    end = std::min(end, batches_.back().base_offset);
    size_bytes_ -= SizeOf(batches_.back());
    batches_.pop_back();
  }
  LogState::LookBack look_back(state_, end);
  for (auto batch = batches_.rbegin(); batch != batches_.rend() && look_back.wants_more(); ++batch) {
    look_back.Visit(Facts(*batch));
  }
  int64_t prefix_max_timestamp_ms = 0;
  for (const StoredBatchView& batch : batches_) {
    prefix_max_timestamp_ms = std::max(prefix_max_timestamp_ms, batch.max_timestamp_ms);
  }
  state_.Truncate(look_back, prefix_max_timestamp_ms);
}

void MemoryLog::Reset(Offset start, const std::vector<ProducerState>& producers) {
  batches_.clear();
  size_bytes_ = 0;
  state_.Reset(start, producers);
}

MemoryLog::Batches::const_iterator MemoryLog::FirstAbove(Offset offset) const {
  return std::upper_bound(batches_.begin(), batches_.end(), offset,
                          [](Offset at, const StoredBatchView& batch) { return at < batch.next_offset; });
}

absl::Status MemoryLog::Read(const ReadRequest& request, Offset limit, ReadResult& result) const {
  result.next_offset = request.from;
  int64_t bytes = 0;
  const StoredBatchView* left_out = nullptr;  // the last one
  for (auto batch = FirstAbove(request.from); batch != batches_.end(); ++batch) {
    bytes += SizeOf(*batch);
    if (batch->base_offset >= request.end || batch->next_offset > limit ||
        (!result.batches.empty() && bytes > request.bytes_max)) {
      break;
    }
    if (Crc32c(batch->bytes) != batch->crc32c) {
      if (!result.batches.empty()) break;
      return MakeError(Reason::kCorruptData, absl::StrCat("the batch at offset ", batch->base_offset.value(),
                                                          " fails its checksum"));
    }
    result.next_offset = batch->next_offset;
    const bool emptied = batch->record_count == 0;
    result.gaps = result.gaps || emptied;
    const bool wanted = !emptied || (request.include_emptied && batch->producer);
    left_out = wanted ? nullptr : &*batch;
    if (wanted) result.batches.push_back(*batch);
  }
  if (request.include_emptied && left_out != nullptr) {
    result.batches.push_back(*left_out);
    result.batches.back().base_offset = std::max(left_out->base_offset, request.from);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<TimedOffset>> MemoryLog::FindByTime(int64_t timestamp_ms, Offset limit) const {
  for (auto batch = FirstAbove(state_.start()); batch != batches_.end(); ++batch) {
    if (batch->next_offset > limit) break;
    if (batch->max_timestamp_ms < timestamp_ms) continue;
    NARU_ASSIGN_OR_RETURN(auto found, FindTimestamp(*batch, timestamp_ms, state_.start()));
    if (found) return found;
  }
  return std::nullopt;
}

Offset MemoryLog::RetentionStart(const LogSettings& settings, int64_t now_ms, Offset limit) const {
  Offset start = state_.start();
  int64_t size = size_bytes_;
  for (const StoredBatchView& batch : batches_) {
    const bool too_old = settings.retention_ms >= 0 && batch.append_time_ms < now_ms - settings.retention_ms;
    const bool too_many = settings.retention_bytes >= 0 && size > settings.retention_bytes;
    if ((!too_old && !too_many) || batch.next_offset > limit) break;
    start = batch.next_offset;
    size -= SizeOf(batch);
  }
  return start;
}

bool MemoryLog::Thin(Offset base_offset, std::vector<uint32_t> offset_deltas, absl::Cord bytes) {
  const auto found = FirstAbove(base_offset);
  if (found == batches_.end() || found->base_offset != base_offset) return false;
  StoredBatchView& batch = batches_[static_cast<size_t>(found - batches_.begin())];
  size_bytes_ -= SizeOf(batch);
  batch.crc32c = Crc32c(bytes);
  batch.record_count = static_cast<uint32_t>(offset_deltas.size());
  batch.offset_deltas = std::move(offset_deltas);
  batch.bytes = std::move(bytes);
  size_bytes_ += SizeOf(batch);
  return true;
}

bool MemoryLog::Damage(Offset offset) {
  const auto found = FirstAbove(offset);
  if (found == batches_.end() || found->base_offset > offset || found->bytes.empty()) return false;
  std::string bytes(found->bytes);
  bytes[bytes.size() / 2] ^= 1;
  batches_[static_cast<size_t>(found - batches_.begin())].bytes = absl::Cord(std::move(bytes));
  return true;
}

int64_t MaxTimestampMs(const BatchInfo& info, bool append_time_stamped, int64_t append_time_ms) {
  if (append_time_stamped) return append_time_ms;
  return info.needs_append_time ? std::max(info.max_timestamp_ms, append_time_ms) : info.max_timestamp_ms;
}

}  // namespace naru
