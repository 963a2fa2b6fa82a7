// The partition store as everything above it sees it: many logs, each an ordered sequence of record batches
// under rising offsets. Two implementations: storage/store (segments and RocksDB) and
// storage/log/memory_log_store.h; tests/storage/log/contract holds both to this page.
//
// Threads. Every method may be called from any thread, also a gRPC reaction: none blocks on disk. Completions
// run on the store's threads or inline in the call, without locks of the store held, each exactly once; they
// must be short and must not block. Requests for one log take effect in the order of the calls. After Stop()
// everything unfinished, and every later call, completes with SHUTTING_DOWN.
//
// Offsets of one log. log start ≤ durable end ≤ end.
//   end          after the last batch appended (written, perhaps not yet durable)
//   durable end  everything below is on stable storage
//   readable end what readers see: the durable end, or the end for logs with Durability::kBackground
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "storage/base/ids.h"
#include "storage/batch/batch.h"
#include "storage/batch/producer_stamp.h"
#include "storage/batch/splice.h"

namespace naru {

// How long a store remembers producers that are silent, unless it is told otherwise.
constexpr int64_t kDefaultProducerExpiryMs = int64_t{7} * 24 * 3'600'000;

enum class Durability : uint8_t {
  kFsync,       // complete an append when it is on stable storage
  kBackground,  // complete it when written; synced within LogStore's background interval
};

// How a log behaves. Not persisted by the store: its owner configures every log anew after a start. Until
// then a log has these defaults.
struct LogSettings {
  Durability durability = Durability::kFsync;
  // Batches whose append time is older than this go; -1: never.
  int64_t retention_ms = -1;
  // The oldest batches go while the log is larger; -1: no bound.
  int64_t retention_bytes = -1;
  // Mark batches so that readers see append times.
  bool append_time_stamped = false;
  // Of each key the newest record stays, older ones go in time.
  bool compact = false;
  // With `compact`: how long a tombstone stays after the compaction that first reached it; how long after
  // their append batches are left alone; the share of bytes not compacted yet from which on a log is
  // compacted.
  int64_t delete_retention_ms = 86'400'000;
  int64_t min_compaction_lag_ms = 0;
  double min_cleanable_dirty_ratio = 0.5;
};

// Keeps appends that were handed over without waiting for each other in order across failures: one fence for
// each pipeline and log, orders rising with the calls. Once an append failed, all with the same fence and a
// greater order fail too, also those already queued. Shared between the caller and the store; thread-safe.
class AppendFence {
 public:
  // An append of a smaller order failed, so that this one must not be done.
  bool Blocks(int64_t order) const { return failed_order_.load(std::memory_order_acquire) < order; }
  // The append of this order failed, for whatever reason.
  void Fail(int64_t order) {
    int64_t failed = failed_order_.load(std::memory_order_relaxed);
    while (order < failed && !failed_order_.compare_exchange_weak(failed, order, std::memory_order_acq_rel)) {
    }
  }

 private:
  std::atomic<int64_t> failed_order_{INT64_MAX};
};

struct AppendRequest {
  LogId log;
  // A RecordBatch's raw bytes that WalkBatch accepted, and what it found.
  absl::Cord batch;
  BatchInfo info;
  // Only if this is the log's end: else EXPECTED_OFFSET_MISMATCH (metadata end_offset).
  std::optional<Offset> expected_offset;
  // Only if this is the log's leader epoch: else STALE_LEADER_EPOCH.
  std::optional<LeaderEpoch> leader_epoch;
  // Where several brokers hold the log: complete it when all replicas in sync have it, and not when this copy
  // does. A store with one copy makes no difference.
  bool on_all_in_sync = true;
  // Where several brokers hold the log: NO_LEADER, and nothing is done, unless this one leads it in this
  // epoch. Absent: it is handed on to the one that leads. A store with one copy makes no difference.
  std::optional<LeaderEpoch> here_in_epoch;
  // Checked in the order of appends: an epoch below the producer's is PRODUCER_FENCED; a sequence that is not
  // the next is OUT_OF_ORDER_SEQUENCE (metadata expected_sequence), unless it repeats one of the last five
  // batches, which then completes OK with `duplicate`. A new epoch, or a producer not known to the log,
  // starts at sequence 0. A producer that appended nothing for the store's producer expiry is not known any
  // more.
  std::optional<ProducerStamp> producer;
  // Set: refused with STREAM_ITEM_SKIPPED when the fence blocks `fence_order`, looked at before everything
  // else where the log's next offset is given out; and any failure of this append, wherever it is noticed,
  // calls fence->Fail(fence_order) before `done` and before a later append of the log is decided.
  std::shared_ptr<AppendFence> fence;
  int64_t fence_order = 0;
};

struct Appended {
  Offset base_offset;
  Offset next_offset;
  int64_t append_time_ms = 0;
  Offset log_start;
  bool duplicate = false;
};

// Batches as another replica's log holds them, to be appended at exactly their offsets.
struct ReplicaAppendRequest {
  LogId log;
  std::vector<StoredBatchView> batches;
  // Where the other log was read from: refused unless this one ends there. Without it a gap could be one that
  // an append left that was refused, and not compaction.
  std::optional<Offset> from;
  // The other log is compacted: offsets between batches, and before the first, may have no records any more;
  // and so may all of a batch that has no bytes either: it brings a producer's stamp, or the log's end to
  // where nothing follows.
  bool gaps = false;
};

struct ReadRequest {
  LogId log;
  Offset from;
  // Batches that begin below this only.
  Offset end = Offset(INT64_MAX);
  // Of batch bytes; the first batch comes whatever its size, up to first_bytes_max.
  int64_t bytes_max = 1 << 20;
  // A first batch with more bytes does not come: the answer says how many they are (first_batch_bytes).
  int64_t first_bytes_max = INT64_MAX;
  // Also what is written and not yet durable: for replication.
  bool include_undurable = false;
  // Also batches without records that tell of a producer, and the last one of what is read, so that batches
  // reach to next_offset: for replication.
  bool include_emptied = false;
  // Where several brokers hold the log: NO_LEADER unless this one leads it. Else it is handed on.
  bool here_only = false;
};

struct ReadResult {
  // In order; the first is that with the first record from `from` on, or one that holds `from` (and may begin
  // before it) and lost some of its records. Each begins where the one before it ended, but where compaction
  // left nothing in between. Empty: there is nothing from `from` to the end, or first_batch_bytes is set.
  std::vector<StoredBatchView> batches;
  // Where to go on: behind the last batch and what is empty after it; `from` when nothing was read.
  Offset next_offset;
  Offset log_start;
  Offset readable_end;
  // Compaction left nothing of some offsets between the batches, or before the first: see
  // ReplicaAppendRequest::gaps.
  bool gaps = false;
  // Above 0: nothing was read, since the first batch has so many bytes, more than the request allows.
  int64_t first_batch_bytes = 0;
};

struct LogInfo {
  Offset log_start;
  Offset end;
  Offset durable_end;
  Offset readable_end;
  LeaderEpoch leader_epoch;
  // Bytes of the batches in [log start, end).
  int64_t size_bytes = 0;
  // Of the last batch, 0 when there was none.
  int64_t last_append_time_ms = 0;
};

struct EpochEnd {
  LeaderEpoch epoch;
  Offset end;
};

// What the log knows of a producer.
struct ProducerState {
  int64_t producer_id = 0;
  int64_t epoch = 0;
  int64_t next_sequence = 0;
  // The newest batches, oldest first, at most five.
  struct Batch {
    int64_t base_sequence = 0;
    int64_t next_sequence = 0;
    Offset base_offset;
    int64_t append_time_ms = 0;
  };
  std::vector<Batch> batches;
};

class LogStore {
 public:
  using Done = absl::AnyInvocable<void(absl::Status)>;
  using AppendDone = absl::AnyInvocable<void(absl::StatusOr<Appended>)>;
  using ReadDone = absl::AnyInvocable<void(absl::StatusOr<ReadResult>)>;
  using TimeDone = absl::AnyInvocable<void(absl::StatusOr<std::optional<TimedOffset>>)>;
  using InfoDone = absl::AnyInvocable<void(absl::StatusOr<LogInfo>)>;
  using WatchId = uint64_t;

  virtual ~LogStore() = default;

  // Makes empty logs, durable when done. Ids are chosen by the caller, > 0, never used before; making a log
  // that exists is fine and changes nothing; one that was deleted is INVALID_TOPIC_STATE.
  virtual void CreateLogs(std::vector<LogId> logs, Done done) = 0;
  // Durable when done; reads and appends then say PARTITION_NOT_FOUND and watches fire. Unknown ids are fine.
  // Space comes back in the background.
  virtual void DeleteLogs(std::vector<LogId> logs, Done done) = 0;
  // PARTITION_NOT_FOUND for an unknown log.
  virtual absl::Status Configure(LogId log, const LogSettings& settings) = 0;
  // In order of id.
  virtual std::vector<LogId> Logs() const = 0;

  // PARTITION_NOT_FOUND; STORAGE_FULL; TOO_MANY_IN_FLIGHT when the store's queue is full; and as
  // AppendRequest says. A failed append took no offsets.
  virtual void Append(AppendRequest request, AppendDone done) = 0;
  // INVALID_FIELD unless request.from, if it is set, and the first base offset are the log's end, each batch
  // follows the one before it without a gap (but for request.gaps), has as many records as offsets (or
  // offset_deltas that fit) and the bytes that its crc32c says, and epochs do not fall. Producer state
  // follows the stamps unchecked: the leader checked them. `done` gets the first base offset and the last
  // next offset when durable (kFsync) or written (kBackground).
  virtual void AppendAsReplica(ReplicaAppendRequest request, AppendDone done) = 0;

  // OFFSET_OUT_OF_RANGE (metadata log_start_offset, high_watermark) unless log start ≤ from ≤ readable end
  // (the end, with include_undurable). PARTITION_NOT_FOUND. CORRUPT_DATA when the first batch
  // fails its checksum; what is whole before such a one is given.
  virtual void Read(ReadRequest request, ReadDone done) = 0;
  // Calls `written` for logs that were appended to, when that can be read with include_undurable: mostly
  // before it is durable, so that replicas can copy it meanwhile. On the store's threads, short. Takes the
  // place of the one before, which is not called any more when this returns; null: nobody listens. A store
  // may have nothing to say before appends complete.
  virtual void OnWritten(std::function<void(const std::vector<LogId>& logs)> written) {}
  // The first record at or after the time among [log start, readable end).
  virtual void FindByTime(LogId log, int64_t timestamp_ms, TimeDone done) = 0;

  // Calls `fire` once when the log's readable end is above `offset`, its start above `offset`, or it is
  // deleted; perhaps inline. A watch that has not fired must be cancelled before what it captures goes away.
  virtual WatchId Watch(LogId log, Offset offset, absl::AnyInvocable<void()> fire) = 0;
  // True: it will not fire. False: it fired, or is just firing (then the call waits for it, unless it is made
  // from inside `fire`). Either way what `fire` captured is destroyed when the call returns, except from
  // inside.
  virtual bool CancelWatch(WatchId watch) = 0;

  // Moves the log start up to `start`, durable when done; never backwards (then nothing happens). Above the
  // readable end: OFFSET_OUT_OF_RANGE. Batches wholly below the start are given up; one it cuts stays
  // readable from its start.
  virtual void MoveLogStart(LogId log, Offset start, Done done) = 0;
  // Takes away batches at and above `end`, durable when done: end, epochs and producer state go back with it.
  // A batch that `end` cuts goes whole, and so does a stretch that compaction left empty: log end is then its
  // base offset, and so is the start if it lay in that batch. Below that: the log becomes empty at `end`, its
  // start moves there too. At or above the end nothing happens. LogInfo's leader epoch does not go back: who
  // was fenced stays fenced.
  virtual void Truncate(LogId log, Offset end, Done done) = 0;
  // Empties the log: start and end are `start`, which may be above or below what they were; durable when
  // done. Epochs are forgotten, but LogInfo's leader epoch does not go back; of producers the log then knows
  // `producers`, each with one to five batches below the start (ProducersBefore), else INVALID_FIELD. For a
  // replica whose leader has nothing any more of what comes next here. What it has may begin inside a batch:
  // the first AppendAsReplica may bring one that begins below the start and ends above; it is readable from
  // the start on.
  virtual void Reset(LogId log, Offset start, std::vector<ProducerState> producers, Done done) = 0;
  // Begins a leader epoch at the log's end, durable when done. Must rise, else STALE_LEADER_EPOCH; the
  // current one again is fine. Epochs in which nothing was appended leave no trace in EndOffsetForEpoch.
  virtual void BeginEpoch(LogId log, LeaderEpoch epoch, Done done) = 0;

  virtual absl::StatusOr<LogInfo> Info(LogId log) const = 0;
  // As Info; where another broker has the log, as it is there now, and Info says NO_LEADER.
  virtual void AskInfo(LogId log, InfoDone done) { done(Info(log)); }
  // The largest epoch ≤ `epoch` in which something was appended, and where it ended: the start of the next
  // one, or the log's end (KIP-101, KIP-279). {-1, log start} when there is none. Epochs that ended at or
  // below the log start are forgotten, but for the newest.
  virtual absl::StatusOr<EpochEnd> EndOffsetForEpoch(LogId log, LeaderEpoch epoch) const = 0;
  // By producer id, as of the end.
  virtual absl::StatusOr<std::vector<ProducerState>> Producers(LogId log) const = 0;

  // Finishes what was begun, makes it durable, and refuses everything after. Idempotent; blocks.
  virtual void Stop() = 0;
};

}  // namespace naru
