#include "services/consume/lane_reader.h"

#include <algorithm>
#include <utility>

#include "services/rpc/status.h"
#include "storage/base/check.h"
#include "storage/base/status.h"
#include "storage/log/log_state.h"

namespace naru::services {
namespace {

// A client that takes messages within this time gets larger ones, after so many of one size: more than the
// windows of its connection hold, so that one that does not read hardly gets beyond the first.
constexpr int64_t kPromptNs = 1'000'000'000;
constexpr int kFullBeforeLarger = 8;
// Who has taken so much has read some of it: no connection holds as much.
constexpr int64_t kProofBytes = int64_t{8} << 20;

// The log is led elsewhere, or by nobody for the moment.
bool IsNoLeader(const absl::Status& status) { return ReasonOf(status) == Reason::kNoLeader; }

}  // namespace

void LaneReader::Begin(naru::v1::Delivery form, int64_t message_bytes_max) {
  form_ = form;
  message_bytes_max_ = message_bytes_max;
  message_bytes_ = std::min(message_bytes_max_, options_.stream_first_message_bytes);
}

LaneReader::Lane LaneReader::Add(const Range& range) {
  const Lane lane = next_lane_++;
  Slot& slot = lanes_[lane];
  slot = {.range = range, .next = range.start.offset, .located = true};
  ++live_;
  absl::Status gone;
  switch (range.start.kind) {
    case StartPoint::Kind::kOffset:
      break;
    case StartPoint::Kind::kTime:
      slot.located = false;
      break;
    case StartPoint::Kind::kEarliest:
    case StartPoint::Kind::kLatest: {
      const absl::StatusOr<LogInfo> info = store_.Info(range.log);
      if (info.ok()) {
        slot.next = range.start.kind == StartPoint::Kind::kLatest ? info->readable_end : info->log_start;
      }
      gone = info.status();
      if (IsNoLeader(gone)) {
        gone = absl::OkStatus();
        slot.located = false;
        slot.at_edge = true;
      }
      break;
    }
  }
  if (gone.ok()) {
    queue_.push_back(lane);
  } else {
    Retire(lane, std::move(gone));
  }
  return lane;
}

void LaneReader::Drop(Lane lane) {
  const auto it = lanes_.find(lane);
  if (it == lanes_.end()) return;
  if (it->second.state == State::kWatching) store_.Unwatch(lane);
  if (it->second.state != State::kGone) --live_;
  if (ready_ && ready_->lane == lane) ready_.reset();
  std::erase_if(retired_, [lane](const Retired& retired) { return retired.lane == lane; });
  std::erase(passed_, lane);
  lanes_.erase(it);
}

void LaneReader::Retire(Lane lane, absl::Status outcome) {
  Slot* slot = Live(lane);
  if (slot == nullptr) return;
  if (slot->state == State::kWatching) store_.Unwatch(lane);
  slot->state = State::kGone;
  --live_;
  retired_.push_back({lane, std::move(outcome)});
}

std::vector<LaneReader::Lane> LaneReader::TakePassed() {
  for (const Lane lane : passed_) lanes_.at(lane).passed = false;
  return std::exchange(passed_, {});
}

LaneReader::Slot* LaneReader::Live(Lane lane) {
  const auto it = lanes_.find(lane);
  return it == lanes_.end() || it->second.state == State::kGone ? nullptr : &it->second;
}

void LaneReader::Queue(Lane lane, Slot& slot) {
  slot.state = State::kQueued;
  queue_.push_back(lane);
}

void LaneReader::OnFound(Lane lane, const absl::StatusOr<std::optional<TimedOffset>>& found) {
  reading_ = false;
  Slot* slot = Live(lane);
  if (slot == nullptr) return;
  absl::Status status = found.status();
  if (found.ok() && found->has_value()) {
    slot->next = (*found)->offset;
  } else if (found.ok()) {
    const absl::StatusOr<LogInfo> info = store_.Info(slot->range.log);
    if (info.ok()) slot->next = info->readable_end;
    status = info.status();
    if (IsNoLeader(status)) {
      slot->at_edge = true;
      return Queue(lane, *slot);
    }
  }
  if (!status.ok()) return Fail(lane, *slot, std::move(status));
  slot->located = true;
  Queue(lane, *slot);
}

void LaneReader::Fail(Lane lane, Slot& slot, absl::Status status) {
  if (!IsNoLeader(status)) return Retire(lane, std::move(status));
  slot.state = State::kWatching;
  store_.WatchLater(lane);
}

void LaneReader::OnRead(Lane lane, absl::StatusOr<ReadResult> result, MemoryGate::Hold hold) {
  reading_ = false;
  Slot* slot = Live(lane);
  if (slot == nullptr) return;
  // Retention may pass the first record between finding it and reading it.
  if (ReasonOf(result.status()) == Reason::kOffsetOutOfRange && !slot->begun &&
      slot->range.start.kind != StartPoint::Kind::kOffset) {
    const absl::StatusOr<LogInfo> info = store_.Info(slot->range.log);
    if (info.ok() && info->log_start > slot->next) {
      slot->next = info->log_start;
      return Queue(lane, *slot);
    }
    if (IsNoLeader(info.status())) {
      slot->located = false;
      slot->at_edge = slot->range.start.kind != StartPoint::Kind::kTime;
      return Queue(lane, *slot);
    }
  }
  if (result.ok() && result->first_batch_bytes > 0) {
    // It takes more memory than was asked for.
    hold.Release();
    slot->batch_bytes = result->first_batch_bytes;
    slot->state = State::kQueued;
    queue_.push_front(lane);
    return;
  }
  TakeRead(lane, *slot, std::move(result), std::move(hold));
}

void LaneReader::TakeRead(Lane lane, Slot& slot, absl::StatusOr<ReadResult> result, MemoryGate::Hold hold) {
  const DeliveryBounds bounds{.end = slot.range.end.value_or(Offset(INT64_MAX)),
                              .bytes_max = std::max<int64_t>(reading_bytes_ - Delivery::kFrameBytesMax, 1)};
  const Offset from = slot.next;
  Delivery delivery(form_, from, bounds);
  absl::Status status = result.ok() ? delivery.Add(*result) : result.status();
  if (result.ok() && !result->batches.empty()) {
    slot.batch_bytes = static_cast<int64_t>(result->batches.back().bytes.size());
  }
  result = absl::UnknownError("used up");  // lets go of the batches
  slot.next = delivery.next_offset();
  const bool ended = delivery.range_ended();
  const bool delivered = !delivery.empty();
  if (delivered) {
    slot.begun = true;
    hold.Resize(delivery.size_bytes());
    const bool full = delivery.size_bytes() >= message_bytes_ / 2;
    ready_.emplace(Ready{lane, from, std::move(delivery), std::move(hold), full});
  } else if (slot.next > from && !std::exchange(slot.passed, true)) {
    passed_.push_back(lane);
  }
  // An error behind records that came is found again by the next read.
  if (!delivered && !status.ok()) {
    Fail(lane, slot, std::move(status));
  } else if (ended) {
    Retire(lane, absl::OkStatus());
  } else if (delivered) {
    Queue(lane, slot);
  } else {
    slot.state = State::kWatching;
    store_.Watch(lane, slot.range.log, slot.next);
  }
}

void LaneReader::OnReadable(Lane lane) {
  Slot* slot = Live(lane);
  if (slot != nullptr && slot->state == State::kWatching) Queue(lane, *slot);
}

void LaneReader::OnWriteBegun(int64_t bytes, bool full) {
  writing_ = true;
  wrote_full_ = full;
  wrote_bytes_ = bytes;
  write_begun_ns_ = clock_.MonotonicNs();
}

void LaneReader::OnWritten() {
  writing_ = false;
  prompt_ = clock_.MonotonicNs() - write_begun_ns_ <= kPromptNs;
  if (!prompt_) {
    message_bytes_ = std::min(message_bytes_max_, options_.stream_first_message_bytes);
    full_taken_ = 0;
    taken_bytes_ = 0;
    return;
  }
  taken_bytes_ += wrote_bytes_;
  if (!wrote_full_ || ++full_taken_ < kFullBeforeLarger) return;
  message_bytes_ = std::min(message_bytes_max_, 2 * message_bytes_);
  full_taken_ = 0;
}

void LaneReader::Go(bool wanted) {
  while (wanted && !reading_ && !ready_ && !queue_.empty()) {
    const int64_t share_bytes = store_.MessageBytesMax();
    const bool scarce = share_bytes < INT64_MAX;
    if (writing_ && (!prompt_ || scarce)) return;
    const Lane lane = queue_.front();
    queue_.pop_front();
    Slot* slot = Live(lane);
    if (slot == nullptr || slot->state != State::kQueued) continue;
    if (slot->located && slot->range.end && slot->next >= *slot->range.end) {
      Retire(lane, CheckStart(*slot));
      if (!writing_) return;  // what there is to say of it comes first
      continue;
    }
    Read(lane, *slot, share_bytes);
  }
}

void LaneReader::Read(Lane lane, Slot& slot, int64_t share_bytes) {
  reading_ = true;
  slot.state = State::kReading;
  if (!slot.located && slot.at_edge) {
    return store_.FindEdge(lane, slot.range.log, slot.range.start.kind != StartPoint::Kind::kEarliest);
  }
  if (!slot.located) return store_.FindByTime(lane, slot.range.log, slot.range.start.timestamp_ms);
  // Else a batch that is larger than the share would be read again for each part of it.
  if (taken_bytes_ >= kProofBytes) share_bytes = std::max(share_bytes, slot.batch_bytes);
  reading_bytes_ = std::min(message_bytes_, share_bytes);
  // The batches that are read, one at least, and the records that are made of them.
  const int64_t read_bytes = std::max(reading_bytes_, slot.batch_bytes);
  const int64_t made_bytes = form_ == naru::v1::DELIVERY_STORED_BATCHES ? 0 : reading_bytes_;
  const ReadRequest request{.log = slot.range.log,
                            .from = slot.next,
                            .end = slot.range.end.value_or(Offset(INT64_MAX)),
                            .bytes_max = reading_bytes_,
                            .first_bytes_max = read_bytes};
  store_.Read(lane, request, read_bytes + made_bytes,
              prompt_ ? MemoryGate::Line::kPrompt : MemoryGate::Line::kLate);
}

absl::Status LaneReader::CheckStart(const Slot& slot) const {
  if (slot.begun || slot.range.start.kind != StartPoint::Kind::kOffset) return absl::OkStatus();
  const absl::StatusOr<LogInfo> found = store_.Info(slot.range.log);
  if (IsNoLeader(found.status())) return absl::OkStatus();  // for the log's leader to say
  NARU_ASSIGN_OR_RETURN(const LogInfo info, found);
  if (slot.next >= info.log_start && slot.next <= info.readable_end) return absl::OkStatus();
  return OffsetOutOfRange("offset", slot.next, info.log_start, info.readable_end);
}

LaneReader::Ready LaneReader::TakeReady() {
  NARU_CHECK(ready_.has_value());
  Ready ready = *std::move(ready_);
  ready_.reset();
  return ready;
}

void LaneReader::PutBackReady() {
  if (!ready_) return;
  // It is queued already, unless it has retired: then this was its last, and stays.
  Slot* slot = Live(ready_->lane);
  if (slot == nullptr) return;
  slot->next = ready_->from;
  ready_.reset();
}

}  // namespace naru::services
