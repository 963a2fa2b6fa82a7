// The appender: the one place that knows what comes next. Takes what waits for all logs, checks it, assigns
// offsets, writes it as a group, and hands the group to the syncer. A thread of its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "storage/base/clock.h"
#include "storage/base/memory_budget.h"
#include "storage/store/batch_group.h"
#include "storage/store/entry_writer.h"
#include "storage/store/log_cuts.h"
#include "storage/store/ops.h"

namespace naru {

class Appender {
 public:
  struct Parts {
    EntryWriter& writer;
    BatchGroup& batches;
    Fold& fold;
    Syncer& syncer;
    Watches& watches;
    TailCache& cache;
    LogTable& logs;
    SegmentTable& segment_table;
    SegmentWriter& segment_writer;
    const LogCuts& cuts;
    MemoryBudget& queue;
    Fatal& fatal;
  };
  // Starts the thread.
  explicit Appender(Parts parts);
  ~Appender();

  // Any thread. False: stopping; the op is unchanged.
  bool Enqueue(Op& op) ABSL_LOCKS_EXCLUDED(mutex_);
  // A snapshot would take this much: batches leave room for one in the last segment that the disk has room
  // for, unless it is more than half of it. Any thread.
  void SpareForSnapshot(uint64_t bytes);
  // As LogStore::OnWritten.
  void OnWritten(std::function<void(const std::vector<LogId>& logs)> written)
      ABSL_LOCKS_EXCLUDED(written_mutex_);
  // Does everything queued, writes a mark, and ends the thread. Idempotent.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Ops = std::vector<Op>;

  void Run();
  // Ops that can be done together, from the front of the queue. Empty: time for a mark, or (stopping) the
  // end.
  Ops Take() ABSL_LOCKS_EXCLUDED(mutex_);
  void Do(Ops ops);
  void DoAppends(Ops ops);
  // `thinned`: some come from a compacted log.
  absl::Status EnsureRoomForBatches(uint64_t bytes, bool thinned);
  void RefuseAppends(Ops& ops, const absl::Status& status);
  void TellWritten(const Group& group) ABSL_LOCKS_EXCLUDED(written_mutex_);
  // Lays an entry of this type for each of `bodies`; completes `finished`, and looks at the watchers of
  // `touched`, when all are durable.
  void WriteControl(EntryType type, std::vector<std::string> bodies, std::vector<Group::Finished> finished,
                    std::vector<std::shared_ptr<Log>> touched);
  void Submit(std::unique_ptr<Group> group);
  void FailGroup(Group& group);

  // One for each kind of op.
  void DoCreates(Ops& ops);
  void DoDeletes(Ops& ops);
  void DoEpochs(Ops& ops);
  void DoStarts(Ops& ops);
  absl::StatusOr<std::optional<LogStartMove>> PlanStart(const StartOp& op) const;
  void DoTruncate(TruncateOp op);
  void DoReclaim(ReclaimOp op);
  void DoMove(MoveOp op);
  // Whether the part may take effect now.
  absl::StatusOr<bool> Holds(const RewriteOp::Part& part) const;
  void DoRewrite(RewriteOp op);
  // What only segments of the newest format may hold.
  void WriteRewrite(Rewrite rewrite, std::string_view entries, LogStore::Done done);
  void DoSnapshot(SnapshotOp op);
  void DoRemove(RemoveOp op);
  // `urgent`: made durable at once.
  void WriteMark(bool urgent);

  Parts parts_;
  const uint64_t group_bytes_max_;
  // Groups of batches in a row without one for a log of durability "background". At kSyncedGroupsMin nobody
  // is about who would get an answer before a sync, and the appender may spend its time on syncs.
  static constexpr int kSyncedGroupsMin = 256;
  int synced_groups_ = kSyncedGroupsMin;
  bool marked_ = true;  // the last entry is a mark, or there is none
  std::atomic<uint64_t> spared_for_snapshot_{0};

  // Held while it is called.
  absl::Mutex written_mutex_;
  std::function<void(const std::vector<LogId>& logs)> written_ ABSL_GUARDED_BY(written_mutex_);

  absl::Mutex mutex_;
  absl::CondVar wake_;
  std::deque<Op> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;
};

}  // namespace naru
