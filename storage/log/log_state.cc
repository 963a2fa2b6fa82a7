#include "storage/log/log_state.h"

#include <algorithm>
#include <functional>

#include "storage/base/check.h"
#include "storage/base/crc32c.h"
#include "storage/base/status.h"

namespace naru {
namespace {

constexpr uint8_t kLogStateVersion = 1;
// Of one batch, or of what stands for one that is gone.
constexpr int64_t kOffsetsMax = INT32_MAX;

absl::Status StaleLeaderEpoch(LeaderEpoch given, LeaderEpoch current) {
  return MakeError(
      Reason::kStaleLeaderEpoch,
      absl::StrCat("leader_epoch: ", given.value(), " is not allowed; the log's is ", current.value()),
      {{"leader_epoch", absl::StrCat(current.value())}});
}

absl::Status Undecodable(std::string_view what) {
  return MakeError(Reason::kCorruptData, absl::StrCat(what, ": the bytes are not those of a log state"));
}

}  // namespace

absl::StatusOr<std::optional<Appended>> LogState::CheckAppend(const AppendRequest& request,
                                                              int64_t forget_producers_before_ms) const {
  if (request.leader_epoch && *request.leader_epoch != epochs_.current()) {
    return StaleLeaderEpoch(*request.leader_epoch, epochs_.current());
  }
  if (request.producer) {
    NARU_ASSIGN_OR_RETURN(
        const ProducerState::Batch* const repeated,
        producers_.Check(*request.producer, request.info.record_count, forget_producers_before_ms));
    if (repeated != nullptr) {
      const int64_t records = repeated->next_sequence - repeated->base_sequence;
      return Appended{repeated->base_offset, repeated->base_offset + records, repeated->append_time_ms,
                      start_,
                      /*duplicate=*/true};
    }
  }
  if (request.expected_offset && *request.expected_offset != end_) {
    return MakeError(Reason::kExpectedOffsetMismatch,
                     absl::StrCat("expected_offset: ", request.expected_offset->value(),
                                  " is not allowed; the log's end is ", end_.value()),
                     {{"end_offset", absl::StrCat(end_.value())}});
  }
  return std::nullopt;
}

absl::Status LogState::CheckReplicaAppend(const ReplicaAppendRequest& request) const {
  if (request.batches.empty()) return InvalidField("batches", "none", "one and more are allowed");
  if (request.from && *request.from != end_) {
    return InvalidField("from", absl::StrCat(request.from->value()),
                        absl::StrCat("the log goes on at ", end_.value()));
  }
  Offset at = end_;
  LeaderEpoch epoch = epochs_.of_last_batch();
  for (const StoredBatchView& batch : request.batches) {
    const bool continues =
        at == end_ ? Continues(batch.base_offset, batch.next_offset) : batch.base_offset == at;
    if (!continues && !(request.gaps && batch.base_offset > at)) {
      return InvalidField("base_offset", absl::StrCat(batch.base_offset.value()),
                          absl::StrCat("the log goes on at ", at.value()));
    }
    if (batch.next_offset <= batch.base_offset) {
      return InvalidField("next_offset", absl::StrCat(batch.next_offset.value()),
                          absl::StrCat("above base_offset ", batch.base_offset.value(), " is allowed"));
    }
    if (batch.leader_epoch < epoch) {
      return InvalidField(
          "leader_epoch", absl::StrCat(batch.leader_epoch.value()),
          absl::StrCat("the log's batches have reached ", epoch.value(), "; that and more is allowed"));
    }
    at = batch.next_offset;
    epoch = batch.leader_epoch;
  }
  if (request.gaps && at - end_ > kReplicaOffsetsMax) {
    return InvalidField("next_offset", absl::StrCat(at.value()),
                        absl::StrCat("at most ", kReplicaOffsetsMax, " offsets at once are allowed"));
  }
  return absl::OkStatus();
}

std::vector<int64_t> LogState::Append(const AppliedBatch& batch) {
  NARU_CHECK(Continues(batch.base_offset, batch.next_offset));
  NARU_CHECK(batch.next_offset > batch.base_offset);
  epochs_.Append(batch.leader_epoch, end_);
  std::vector<int64_t> forgotten = producers_.Expire(batch.forget_producers_before_ms);
  if (batch.producer) {
    const std::vector<int64_t> idle = producers_.Append(
        *batch.producer, batch.next_offset - batch.base_offset, batch.base_offset, batch.append_time_ms);
    forgotten.insert(forgotten.end(), idle.begin(), idle.end());
  }
  end_ = batch.next_offset;
  prefix_max_timestamp_ms_ = std::max(prefix_max_timestamp_ms_, batch.max_timestamp_ms);
  last_append_time_ms_ = batch.append_time_ms;
  return forgotten;
}

absl::Status LogState::CheckMoveStart(Offset start, Offset readable_end) const {
  if (start > readable_end) return OffsetOutOfRange("log_start_offset", start, start_, readable_end);
  return absl::OkStatus();
}

bool LogState::MoveStart(Offset start) {
  if (start <= start_) return false;
  NARU_CHECK(start <= end_);
  start_ = start;
  epochs_.MoveStart(start);
  return true;
}

absl::Status LogState::CheckBeginEpoch(LeaderEpoch epoch) const {
  if (epoch < epochs_.current()) return StaleLeaderEpoch(epoch, epochs_.current());
  return absl::OkStatus();
}

void LogState::BeginEpoch(LeaderEpoch epoch) {
  NARU_CHECK(epoch >= epochs_.current());
  epochs_.Begin(epoch);
}

void LogState::LookBack::Visit(const AppliedBatch& batch) {
  NARU_CHECK(batch.next_offset <= end_);
  if (!last_append_time_ms_) last_append_time_ms_ = batch.append_time_ms;
  if (batch.producer) {
    producers_.Visit(*batch.producer, batch.next_offset - batch.base_offset, batch.base_offset,
                     batch.append_time_ms);
  }
}

void LogState::Truncate(const LookBack& look_back, int64_t prefix_max_timestamp_ms) {
  if (look_back.end_ >= end_) return;
  end_ = look_back.end_;
  start_ = std::min(start_, end_);
  epochs_.Truncate(end_);
  look_back.producers_.Finish(producers_);
  prefix_max_timestamp_ms_ = prefix_max_timestamp_ms;
  last_append_time_ms_ = look_back.last_append_time_ms_.value_or(0);
}

absl::Status LogState::CheckReset(Offset start, const std::vector<ProducerState>& producers) {
  if (start < Offset(0)) {
    return InvalidField("start", absl::StrCat(start.value()), "0 and more is allowed");
  }
  return CheckProducersBefore(producers, start);
}

void LogState::Reset(Offset start, const std::vector<ProducerState>& producers) {
  start_ = end_ = start;
  epochs_.Truncate(Offset(INT64_MIN));
  producers_.Clear();
  for (const ProducerState& state : producers) producers_.Restore({state, /*forgot_older=*/true});
  prefix_max_timestamp_ms_ = 0;
  last_append_time_ms_ = 0;
}

std::string LogState::EncodeHead() const {
  std::string to;
  AppendLittle<uint8_t>(to, kLogStateVersion);
  AppendLittle<int64_t>(to, start_.value());
  AppendLittle<int64_t>(to, end_.value());
  AppendLittle<int64_t>(to, prefix_max_timestamp_ms_);
  AppendLittle<int64_t>(to, last_append_time_ms_);
  epochs_.Encode(to);
  return to;
}

std::string LogState::Encode() const {
  std::string to = EncodeHead();
  AppendLittle<uint32_t>(to, static_cast<uint32_t>(producers_.entries().size()));
  for (const auto& [id, entry] : producers_.entries()) ProducerTable::EncodeEntry(entry, to);
  return to;
}

std::string LogState::EncodeProducer(int64_t producer_id) const {
  std::string to;
  if (const ProducerTable::Entry* entry = producers_.Find(producer_id))
    ProducerTable::EncodeEntry(*entry, to);
  return to;
}

bool LogState::TakeHead(LittleReader& from, LogState& state) {
  if (from.Take<uint8_t>() != kLogStateVersion) return false;
  state.start_ = Offset(from.Take<int64_t>());
  state.end_ = Offset(from.Take<int64_t>());
  state.prefix_max_timestamp_ms_ = from.Take<int64_t>();
  state.last_append_time_ms_ = from.Take<int64_t>();
  if (!from.ok() || state.start_ < Offset(0) || state.start_ > state.end_) return false;
  if (!state.epochs_.Decode(from)) return false;
  return state.epochs_.starts().empty() || state.epochs_.starts().back().offset <= state.end_;
}

absl::StatusOr<LogState> LogState::DecodeHead(std::string_view bytes) {
  LittleReader from(bytes);
  LogState state;
  if (!TakeHead(from, state) || !from.done()) return Undecodable("log head");
  return state;
}

absl::StatusOr<LogState> LogState::Decode(std::string_view bytes) {
  LittleReader from(bytes);
  LogState state;
  if (!TakeHead(from, state)) return Undecodable("log head");
  const uint32_t count = from.Take<uint32_t>();
  if (!from.ok() || count > ProducerTable::kProducersMax) return Undecodable("producer count");
  for (uint32_t i = 0; i < count; ++i) {
    auto entry = ProducerTable::DecodeEntry(from);
    if (!entry) return Undecodable("producer");
    state.producers_.Restore(*std::move(entry));
  }
  if (!from.done()) return Undecodable("end of the log state");
  return state;
}

absl::Status LogState::RestoreProducer(std::string_view bytes) {
  LittleReader from(bytes);
  auto entry = ProducerTable::DecodeEntry(from);
  if (!entry || !from.done()) return Undecodable("producer");
  producers_.Restore(*std::move(entry));
  return absl::OkStatus();
}

absl::Status CheckFence(const AppendRequest& request) {
  if (request.fence == nullptr || !request.fence->Blocks(request.fence_order)) return absl::OkStatus();
  return MakeError(Reason::kStreamItemSkipped,
                   "not appended, since an earlier append of the same stream to the same partition failed");
}

namespace {

absl::Status CheckOffsetDeltas(const StoredBatchView& batch) {
  const std::vector<uint32_t>& deltas = batch.offset_deltas;
  if (deltas.size() != batch.record_count) {
    return InvalidField("offset_deltas", absl::StrCat(deltas.size()),
                        absl::StrCat("one for each of ", batch.record_count, " records is allowed"));
  }
  const int64_t offsets = batch.next_offset - batch.base_offset;
  const bool rising =
      std::adjacent_find(deltas.begin(), deltas.end(), std::greater_equal<>()) == deltas.end();
  if (offsets > kOffsetsMax || !rising || (!deltas.empty() && deltas.back() >= offsets)) {
    return InvalidField("offset_deltas", absl::StrCat(deltas.empty() ? offsets : deltas.back()),
                        absl::StrCat("rising ones below ", std::min(offsets, kOffsetsMax), " are allowed"));
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<StoredBatchView> EmptyStretch(const LogState& state, Offset from, Offset to, LeaderEpoch epoch) {
  std::vector<StoredBatchView> views;
  while (from < to) {
    StoredBatchView view;
    view.base_offset = from;
    view.next_offset = std::min(to, from + kOffsetsMax);
    view.leader_epoch = epoch;
    view.append_time_ms = state.last_append_time_ms();
    from = view.next_offset;
    views.push_back(std::move(view));
  }
  return views;
}

absl::Status CheckReplicaBatches(const ReplicaAppendRequest& request) {
  for (const StoredBatchView& batch : request.batches) {
    if (const uint32_t crc = Crc32c(batch.bytes); crc != batch.crc32c) {
      return InvalidField("crc32c", absl::StrCat(batch.crc32c),
                          absl::StrCat("the batch's bytes come to ", crc, ", which alone is allowed"));
    }
    const auto records = static_cast<int64_t>(batch.record_count);
    if (!batch.offset_deltas.empty() || (request.gaps && records == 0 && batch.bytes.empty())) {
      NARU_RETURN_IF_ERROR(CheckOffsetDeltas(batch));
      continue;
    }
    if (batch.next_offset != batch.base_offset + records) {
      return InvalidField("next_offset", absl::StrCat(batch.next_offset.value()),
                          absl::StrCat("base_offset ", batch.base_offset.value(), " and ", records,
                                       " records allow ", (batch.base_offset + records).value()));
    }
  }
  return absl::OkStatus();
}

absl::Status LogNotFound(LogId log) {
  return MakeError(Reason::kPartitionNotFound, absl::StrCat("log: ", log.value(), " is not in this store"));
}

absl::Status OffsetOutOfRange(std::string_view what, Offset offset, Offset log_start, Offset readable_end) {
  return MakeError(Reason::kOffsetOutOfRange,
                   absl::StrCat(what, ": ", offset.value(), " is not allowed; the log has ",
                                log_start.value(), " to ", readable_end.value()),
                   {{"log_start_offset", absl::StrCat(log_start.value())},
                    {"high_watermark", absl::StrCat(readable_end.value())}});
}

}  // namespace naru
