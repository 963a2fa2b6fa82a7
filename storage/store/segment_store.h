// The PartitionStore over segments and the index: puts the parts together, answers what needs no thread, and
// hands the rest to the appender, the readers and the maintainer.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "storage/base/memory_budget.h"
#include "storage/store/appender.h"
#include "storage/store/cold_reader.h"
#include "storage/store/maintainer.h"
#include "storage/store/partition_store.h"
#include "storage/store/recovery.h"

namespace naru {

class SegmentStore final : public PartitionStore {
 public:
  static absl::StatusOr<std::unique_ptr<SegmentStore>> Open(const StoreOptions& options, FileSystem& files,
                                                            const Clock& clock, EventLog& events);
  ~SegmentStore() override;

  void CreateLogs(std::vector<LogId> logs, Done done) override;
  void DeleteLogs(std::vector<LogId> logs, Done done) override;
  absl::Status Configure(LogId log, const LogSettings& settings) override;
  std::vector<LogId> Logs() const override { return logs_.Ids(); }
  void Append(AppendRequest request, AppendDone done) override;
  void AppendAsReplica(ReplicaAppendRequest request, AppendDone done) override;
  void Read(ReadRequest request, ReadDone done) override;
  void OnWritten(std::function<void(const std::vector<LogId>& logs)> written) override {
    appender_->OnWritten(std::move(written));
  }
  void FindByTime(LogId log, int64_t timestamp_ms, TimeDone done) override;
  WatchId Watch(LogId log, Offset offset, absl::AnyInvocable<void()> fire) override;
  bool CancelWatch(WatchId watch) override { return watches_.Cancel(watch); }
  void MoveLogStart(LogId log, Offset start, Done done) override;
  void Truncate(LogId log, Offset end, Done done) override;
  void Reset(LogId log, Offset start, std::vector<ProducerState> producers, Done done) override;
  void BeginEpoch(LogId log, LeaderEpoch epoch, Done done) override;
  absl::StatusOr<LogInfo> Info(LogId log) const override;
  absl::StatusOr<EpochEnd> EndOffsetForEpoch(LogId log, LeaderEpoch epoch) const override;
  absl::StatusOr<std::vector<ProducerState>> Producers(LogId log) const override;
  void Stop() override;

  StoreStats Stats() const override;
  absl::Status Checkpoint() override;
  absl::Status RunMaintenance() override;

 private:
  SegmentStore(const StoreOptions& options, FileSystem& files, const Clock& clock, EventLog& events,
               std::unique_ptr<DirectoryLock> lock);
  absl::Status Recover();
  void Start(const Recovery& recovery);

  // Why nothing is taken any more; OK while it is.
  absl::Status Refusal() const;
  // Completes with `status` what was not enqueued.
  template <typename OpType>
  void Enqueue(OpType op);
  // Takes `bytes` of the queue's budget for an append that nothing speaks against.
  absl::Status Admit(int64_t bytes);

  const StoreOptions options_;
  FileSystem& files_;
  const Clock& clock_;
  EventLog& events_;
  std::unique_ptr<DirectoryLock> lock_;

  Fatal fatal_;
  StoreCounters counters_;
  MemoryBudget queue_;
  LogTable logs_;
  SegmentTable segment_table_;
  SegmentSet segments_;
  Watches watches_;
  TailCache cache_;

  // Made by recovery, in this order.
  std::unique_ptr<Index> index_;
  std::unique_ptr<Fold> fold_;
  std::unique_ptr<RunReader> reader_;
  std::unique_ptr<LogCuts> cuts_;
  std::unique_ptr<SegmentWriter> segment_writer_;
  std::unique_ptr<Syncer> syncer_;
  std::unique_ptr<EntryWriter> entry_writer_;
  std::unique_ptr<BatchGroup> batches_;
  std::unique_ptr<Appender> appender_;
  std::unique_ptr<ColdReader> cold_reader_;
  std::unique_ptr<Maintainer> maintainer_;

  std::atomic<bool> stopping_{false};
  absl::Mutex stop_mutex_;
  bool stopped_ ABSL_GUARDED_BY(stop_mutex_) = false;
};

}  // namespace naru
