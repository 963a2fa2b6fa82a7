// A LogStore in memory, for simulation and for tests of everything above the store. Deterministic: no
// threads, no time but the clock's, completions and watches run inline in the call that causes them (Append,
// MakeDurable, …), without locks. Thread-safe.
//
// It can stand in for a disk's slowness and for a crash: while HoldDurability() is on, changes take effect at
// once but become durable, and complete, only when MakeDurable() says so, in the order in which they were
// made, over all logs, as in one write-ahead log. Restart() then loses what was not, but for the beginning of
// a write that is to be torn.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "storage/base/clock.h"
#include "storage/log/log_store.h"
#include "storage/log/log_watches.h"
#include "storage/log/memory_log.h"

namespace naru {

struct MemoryLogStoreOptions {
  // Bytes of batches that wait to become durable; appends beyond are TOO_MANY_IN_FLIGHT.
  int64_t pending_bytes_max = int64_t{128} << 20;
  // A producer that appended nothing to a log for so long is not known there any more. At least 1.
  int64_t producer_expiry_ms = kDefaultProducerExpiryMs;
};

class MemoryLogStore final : public LogStore {
 public:
  // `clock` outlives the store.
  explicit MemoryLogStore(const Clock& clock, MemoryLogStoreOptions options = {});
  ~MemoryLogStore() override = default;

  void CreateLogs(std::vector<LogId> logs, Done done) override;
  void DeleteLogs(std::vector<LogId> logs, Done done) override;
  absl::Status Configure(LogId log, const LogSettings& settings) override;
  std::vector<LogId> Logs() const override;
  void Append(AppendRequest request, AppendDone done) override;
  void AppendAsReplica(ReplicaAppendRequest request, AppendDone done) override;
  void Read(ReadRequest request, ReadDone done) override;
  void FindByTime(LogId log, int64_t timestamp_ms, TimeDone done) override;
  WatchId Watch(LogId log, Offset offset, absl::AnyInvocable<void()> fire) override;
  bool CancelWatch(WatchId watch) override;
  void MoveLogStart(LogId log, Offset start, Done done) override;
  void Truncate(LogId log, Offset end, Done done) override;
  void Reset(LogId log, Offset start, std::vector<ProducerState> producers, Done done) override;
  void BeginEpoch(LogId log, LeaderEpoch epoch, Done done) override;
  absl::StatusOr<LogInfo> Info(LogId log) const override;
  absl::StatusOr<EpochEnd> EndOffsetForEpoch(LogId log, LeaderEpoch epoch) const override;
  absl::StatusOr<std::vector<ProducerState>> Producers(LogId log) const override;
  void Stop() override;

  // --- What only this store has.
  // True: changes wait for MakeDurable. False: makes everything durable that waits, then changes are so at
  // once.
  void HoldDurability(bool hold);
  // Makes the oldest `changes` waiting changes durable and completes them; returns how many there were.
  size_t MakeDurable(size_t changes = SIZE_MAX);
  size_t waiting_changes() const;
  // Refuses appends with STORAGE_FULL, or takes them again.
  void SetStorageFull(bool full);
  // One round of retention.
  void RunMaintenance();
  // As if the process had died and come back: what was not durable is gone and never completes, settings are
  // the defaults, watches are gone. Also opens a stopped store again. Durability is held or not as before.
  // Where the oldest of what was not durable is an append of several batches, its first `torn_batches` are
  // there all the same, but never all. Gives how many that are.
  size_t Restart(size_t torn_batches = 0);
  // As a compaction would leave the stored batch that begins at `base_offset`, durably: with fewer records,
  // or without any and without bytes. Only of batches that are durable. False: there is none.
  bool Thin(LogId log, Offset base_offset, const std::vector<uint32_t>& offset_deltas,
            const absl::Cord& bytes);
  // Damages the stored batch that holds `offset`, durably. False: there is none.
  bool Damage(LogId log, Offset offset);

 private:
  // What a disk would hold.
  struct Contents {
    std::map<LogId, MemoryLog> logs;
    std::set<LogId> deleted;
  };
  // Of a log that exists, beside its contents.
  struct Live {
    LogSettings settings;
    Offset durable_end;
    Offset readable_end;
    // Number of the newest change that took batches away: older appends no longer say what is durable.
    uint64_t truncated_by = 0;
  };
  // Its effect on contents; must do the same each time it is called on the same contents.
  using Change = std::function<void(Contents&)>;
  struct Waiting {
    uint64_t number = 0;
    Change change;
    absl::AnyInvocable<void()> complete;
    // Of an append: the log whose durable end it moves, to where, and its batches.
    LogId log = {};
    Offset durable_end = {};
    int64_t bytes = 0;
    std::shared_ptr<const std::vector<StoredBatchView>> batches = nullptr;
  };
  // What is to run when the lock is released.
  struct After {
    std::vector<absl::AnyInvocable<void()>> completions;
    std::map<LogId, Offset> reached;
    std::vector<LogId> deleted;
  };

  void Run(After after);
  absl::Status CheckRunning() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckLog(LogId log) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckRoom(LogId log, int64_t bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<std::optional<Appended>> CheckAppend(const AppendRequest& request) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Applies a change, which has no number yet, and completes it when it is durable.
  void Make(Waiting made, After& after) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void MakeAppend(LogId log, std::vector<StoredBatchView> batches, Appended appended, AppendDone done,
                  After& after) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The first `count` of them.
  void AppendTo(MemoryLog& log, const std::vector<StoredBatchView>& batches, size_t count) const;
  void MakeOldestDurable(After& after) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RaiseEnds(LogId log, Offset durable_end, After& after) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A change that may bring the log's ends down, or elsewhere.
  void Cut(LogId log, absl::Status status, Change change, Done done, After& after)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void MoveStartTo(LogId log, Offset start, absl::AnyInvocable<void()> complete, After& after)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Clock& clock_;
  const MemoryLogStoreOptions options_;
  LogWatches watches_;  // its lock comes after mutex_
  mutable absl::Mutex mutex_;
  Contents contents_ ABSL_GUARDED_BY(mutex_);
  std::optional<Contents> durable_ ABSL_GUARDED_BY(mutex_);  // while durability is held
  std::map<LogId, Live> live_ ABSL_GUARDED_BY(mutex_);       // same keys as contents_.logs
  std::deque<Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
  int64_t waiting_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t last_change_ ABSL_GUARDED_BY(mutex_) = 0;
  bool storage_full_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace naru
