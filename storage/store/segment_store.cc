#include "storage/store/segment_store.h"

#include <algorithm>
#include <utility>

#include "storage/base/status.h"

namespace naru {
namespace {

// Smaller batches are copied when they are taken in: a slice of a few bytes can hold on to a whole receive
// buffer, and would do so for as long as it is in the tail cache.
constexpr size_t kCopiedBytes = 16 << 10;

// What a batch in the queue costs beside its bytes.
constexpr int64_t kQueueOverhead = 256;

absl::Cord Compact(const absl::Cord& batch) {
  return batch.size() < kCopiedBytes ? absl::Cord(std::string(batch)) : batch;
}

}  // namespace

absl::Status SegmentStore::Refusal() const {
  if (fatal_.raised()) return Fatal::Error();
  return stopping_.load(std::memory_order_acquire) ? ShuttingDown() : absl::OkStatus();
}

template <typename OpType>
void SegmentStore::Enqueue(OpType op) {
  absl::Status refusal = Refusal();
  Op wrapped = std::move(op);
  if (refusal.ok()) {
    if (appender_->Enqueue(wrapped)) return;
    refusal = ShuttingDown();
  }
  std::get<OpType>(wrapped).done(std::move(refusal));
}

void SegmentStore::CreateLogs(std::vector<LogId> logs, Done done) {
  Enqueue(CreateOp{std::move(logs), std::move(done)});
}

void SegmentStore::DeleteLogs(std::vector<LogId> logs, Done done) {
  Enqueue(DeleteOp{std::move(logs), std::move(done)});
}

absl::Status SegmentStore::Configure(LogId id, const LogSettings& settings) {
  const auto log = logs_.Find(id);
  if (log == nullptr) return LogNotFound(id);
  absl::MutexLock lock(&log->mutex);
  log->settings = settings;
  log->retention_due_ms = log->compaction_due_ms = 0;
  return absl::OkStatus();
}

absl::Status SegmentStore::Admit(int64_t bytes) {
  NARU_RETURN_IF_ERROR(Refusal());
  if (counters_.storage_full.load(std::memory_order_relaxed)) {
    Count(counters_.storage_full_refusals);
    return MakeError(Reason::kStorageFull,
                     absl::StrCat("the disk has less than ", options_.disk_reserve_bytes,
                                  " bytes left (disk_reserve_bytes); produces are taken again above ",
                                  options_.disk_reserve_bytes + options_.disk_reserve_bytes / 4));
  }
  if (!queue_.TryTake(bytes)) {
    // One that is larger than the whole queue goes alone.
    if (bytes <= queue_.limit_bytes() || queue_.used_bytes() > 0) {
      return MakeError(Reason::kTooManyInFlight,
                       absl::StrCat("the store's queue is full: ", queue_.limit_bytes(), " bytes"));
    }
    queue_.Take(bytes);
  }
  return absl::OkStatus();
}

void SegmentStore::Append(AppendRequest request, AppendDone done) {
  auto log = logs_.Find(request.log);
  const int64_t bytes = static_cast<int64_t>(request.batch.size()) + kQueueOverhead;
  absl::Status refused = Refusal();
  if (refused.ok()) refused = log == nullptr ? LogNotFound(request.log) : Admit(bytes);
  if (!refused.ok()) {
    FailFence(request);
    return done(std::move(refused));
  }
  request.batch = Compact(request.batch);
  AppendOp op{std::move(log), std::move(request), std::move(done), bytes};
  Op wrapped = std::move(op);
  if (appender_->Enqueue(wrapped)) return;
  queue_.Give(bytes);
  FailFence(std::get<AppendOp>(wrapped).request);
  std::get<AppendOp>(wrapped).done(ShuttingDown());
}

void SegmentStore::AppendAsReplica(ReplicaAppendRequest request, AppendDone done) {
  auto log = logs_.Find(request.log);
  if (log == nullptr) {
    const absl::Status refusal = Refusal();
    return done(refusal.ok() ? LogNotFound(request.log) : refusal);
  }
  absl::Status refused = Refusal();
  // Stored as they are, such batches would pass for damage at the next start.
  if (refused.ok()) refused = CheckReplicaBatches(request);
  if (!refused.ok()) return done(std::move(refused));
  int64_t bytes = 0;
  for (StoredBatchView& batch : request.batches) {
    bytes += static_cast<int64_t>(batch.bytes.size()) + kQueueOverhead;
    batch.bytes = Compact(batch.bytes);
  }
  if (refused = Admit(bytes); !refused.ok()) return done(std::move(refused));
  Op wrapped = ReplicaAppendOp{std::move(log), std::move(request), std::move(done), bytes};
  if (appender_->Enqueue(wrapped)) return;
  queue_.Give(bytes);
  std::get<ReplicaAppendOp>(wrapped).done(ShuttingDown());
}

void SegmentStore::Read(ReadRequest request, ReadDone done) {
  const auto log = logs_.Find(request.log);
  if (const absl::Status refusal = Refusal(); !refusal.ok()) return done(refusal);
  if (log == nullptr) return done(LogNotFound(request.log));
  ReadResult result;
  Offset limit;
  bool served = false;
  {
    absl::ReaderMutexLock lock(&log->mutex);
    limit = request.include_undurable ? log->written_end : log->readable_end;
    result.log_start = log->state.start();
    result.readable_end = log->readable_end;
    result.next_offset = request.from;
    request.end = std::min(request.end, limit);
    if (request.from >= result.log_start && request.from <= limit) {
      served = request.from >= request.end || ReadCached(*log, request, result);
    }
  }
  if (request.from < result.log_start || request.from > limit) {
    return done(OffsetOutOfRange("offset", request.from, result.log_start, limit));
  }
  if (!served) {
    Count(counters_.tail_cache_misses);
    return cold_reader_->Read(log, request, std::move(done));
  }
  if (!result.batches.empty()) {
    Count(counters_.tail_cache_hits);
    Count(counters_.read_batches, static_cast<int64_t>(result.batches.size()));
    for (const StoredBatchView& batch : result.batches) {
      Count(counters_.read_bytes, static_cast<int64_t>(batch.bytes.size()));
    }
  }
  done(std::move(result));
}

void SegmentStore::FindByTime(LogId id, int64_t timestamp_ms, TimeDone done) {
  auto log = logs_.Find(id);
  if (const absl::Status refusal = Refusal(); !refusal.ok()) return done(refusal);
  if (log == nullptr) return done(LogNotFound(id));
  cold_reader_->FindByTime(std::move(log), timestamp_ms, std::move(done));
}

LogStore::WatchId SegmentStore::Watch(LogId id, Offset offset, absl::AnyInvocable<void()> fire) {
  auto log = logs_.Find(id);
  if (log == nullptr) {
    const WatchId watch = watches_.NextId();
    fire();
    return watch;
  }
  return watches_.Add(log, offset, std::move(fire));
}

void SegmentStore::MoveLogStart(LogId id, Offset start, Done done) {
  auto log = logs_.Find(id);
  if (log == nullptr) return done(Refusal().ok() ? LogNotFound(id) : Refusal());
  Enqueue(StartOp{std::move(log), start, std::move(done)});
}

void SegmentStore::Truncate(LogId id, Offset end, Done done) {
  auto log = logs_.Find(id);
  if (log == nullptr) return done(Refusal().ok() ? LogNotFound(id) : Refusal());
  if (end < Offset(0)) return done(InvalidField("end", absl::StrCat(end.value()), "0 and more is allowed"));
  Enqueue(TruncateOp{std::move(log), end, std::nullopt, std::move(done)});
}

void SegmentStore::Reset(LogId id, Offset start, std::vector<ProducerState> producers, Done done) {
  auto log = logs_.Find(id);
  if (log == nullptr) return done(Refusal().ok() ? LogNotFound(id) : Refusal());
  if (absl::Status valid = LogState::CheckReset(start, producers); !valid.ok()) return done(std::move(valid));
  Enqueue(TruncateOp{std::move(log), start, std::move(producers), std::move(done)});
}

void SegmentStore::BeginEpoch(LogId id, LeaderEpoch epoch, Done done) {
  auto log = logs_.Find(id);
  if (log == nullptr) return done(Refusal().ok() ? LogNotFound(id) : Refusal());
  Enqueue(EpochOp{std::move(log), epoch, std::move(done)});
}

absl::StatusOr<LogInfo> SegmentStore::Info(LogId id) const {
  const auto log = logs_.Find(id);
  NARU_RETURN_IF_ERROR(Refusal());
  if (log == nullptr) return LogNotFound(id);
  absl::ReaderMutexLock lock(&log->mutex);
  LogInfo info;
  info.log_start = log->state.start();
  info.end = log->written_end;
  info.durable_end = log->durable_end;
  info.readable_end = log->readable_end;
  info.leader_epoch = log->state.epochs().current();
  info.size_bytes = log->size_bytes();
  info.last_append_time_ms = log->state.last_append_time_ms();
  return info;
}

absl::StatusOr<EpochEnd> SegmentStore::EndOffsetForEpoch(LogId id, LeaderEpoch epoch) const {
  const auto log = logs_.Find(id);
  NARU_RETURN_IF_ERROR(Refusal());
  if (log == nullptr) return LogNotFound(id);
  absl::ReaderMutexLock lock(&log->mutex);
  return log->state.EndOffsetForEpoch(epoch);
}

absl::StatusOr<std::vector<ProducerState>> SegmentStore::Producers(LogId id) const {
  const auto log = logs_.Find(id);
  NARU_RETURN_IF_ERROR(Refusal());
  if (log == nullptr) return LogNotFound(id);
  absl::ReaderMutexLock lock(&log->mutex);
  return log->state.producers().States();
}

StoreStats SegmentStore::Stats() const {
  const auto get = [](const std::atomic<int64_t>& counter) {
    return counter.load(std::memory_order_relaxed);
  };
  StoreStats stats;
  stats.logs = static_cast<int64_t>(logs_.size());
  stats.producers = get(counters_.producers);
  stats.segments = static_cast<int64_t>(segments_.Ids().size());
  stats.segment_bytes = segments_.TotalBytes();
  stats.live_bytes = segment_table_.LiveBytes();
  stats.appended_batches = get(counters_.appended_batches);
  stats.appended_records = get(counters_.appended_records);
  stats.appended_bytes = get(counters_.appended_bytes);
  stats.append_groups = get(counters_.append_groups);
  stats.zeroed_bytes = get(counters_.zeroed_bytes);
  stats.syncs = get(counters_.syncs);
  stats.sync_ns = get(counters_.sync_ns);
  stats.read_batches = get(counters_.read_batches);
  stats.read_bytes = get(counters_.read_bytes);
  stats.tail_cache_hits = get(counters_.tail_cache_hits);
  stats.tail_cache_misses = get(counters_.tail_cache_misses);
  stats.tail_cache_used_bytes = cache_.used_bytes();
  stats.queue_used_bytes = queue_.used_bytes();
  stats.queue_refusals = queue_.refusals();
  stats.storage_full_refusals = get(counters_.storage_full_refusals);
  stats.storage_full = counters_.storage_full.load(std::memory_order_relaxed);
  stats.disk_available_bytes = get(counters_.disk_available_bytes);
  stats.disk_total_bytes = get(counters_.disk_total_bytes);
  stats.checkpoints = get(counters_.checkpoints);
  stats.bytes_since_checkpoint = get(counters_.applied_bytes) - get(counters_.checkpointed_bytes);
  stats.retention_moves = get(counters_.retention_moves);
  stats.segments_removed = get(counters_.segments_removed);
  stats.relocated_bytes = get(counters_.relocated_bytes);
  stats.relocations_held_off = get(counters_.relocations_held_off);
  CompactionStats& compaction = stats.compaction;
  compaction.logs = get(counters_.compaction_logs);
  compaction.due_logs = get(counters_.compaction_due_logs);
  compaction.dirty_ratio_max = counters_.compaction_dirty_ratio_max.load(std::memory_order_relaxed);
  compaction.passes = get(counters_.compaction_passes);
  compaction.passes_failed = get(counters_.compaction_passes_failed);
  compaction.passes_cut_by_memory = get(counters_.compaction_passes_cut);
  compaction.rounds_held_off = get(counters_.compactions_held_off);
  compaction.read_bytes = get(counters_.compaction_read_bytes);
  compaction.written_bytes = get(counters_.compaction_written_bytes);
  compaction.given_back_bytes = get(counters_.compaction_given_back_bytes);
  compaction.records_left_out = get(counters_.compaction_records_left_out);
  compaction.tombstones_left_out = get(counters_.compaction_tombstones_left_out);
  compaction.last_pass_ms = get(counters_.compaction_last_pass_ms);
  compaction.last_pass_duration_ms = get(counters_.compaction_last_duration_ms);
  stats.index_damaged = index_->damaged();
  stats.replayed_entries = counters_.replayed_entries;
  stats.replayed_bytes = counters_.replayed_bytes;
  stats.torn_tail_bytes = counters_.torn_tail_bytes;
  return stats;
}

absl::Status SegmentStore::Checkpoint() {
  NARU_RETURN_IF_ERROR(Refusal());
  return maintainer_->Checkpoint();
}

absl::Status SegmentStore::RunMaintenance() {
  NARU_RETURN_IF_ERROR(Refusal());
  return maintainer_->RunRound();
}

}  // namespace naru
