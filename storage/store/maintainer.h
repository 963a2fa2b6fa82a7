// The maintainer: retention, giving space back, checkpoints, the disk's level. A thread of its own, which
// asks the appender for whatever changes the store.
#pragma once

#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "storage/base/clock.h"
#include "storage/base/event_log.h"
#include "storage/base/files.h"
#include "storage/segments/segment_writer.h"
#include "storage/store/appender.h"
#include "storage/store/counters.h"
#include "storage/store/partition_store.h"

namespace naru {

class Maintainer {
 public:
  struct Parts {
    const StoreOptions& options;
    FileSystem& files;
    const Clock& clock;
    EventLog& events;
    Index& index;
    const Fold& fold;
    LogTable& logs;
    SegmentTable& segment_table;
    SegmentSet& segments;
    SegmentWriter& segment_writer;
    Syncer& syncer;
    Appender& appender;
    const LogCuts& cuts;
    const RunReader& reader;
    StoreCounters& counters;
    Fatal& fatal;
  };
  explicit Maintainer(Parts parts);
  ~Maintainer();

  // Looks at checkpoints and the next segment soon. Any thread.
  void Wake() ABSL_LOCKS_EXCLUDED(mutex_);
  // Makes what is in the index durable. Blocks.
  absl::Status Checkpoint() ABSL_LOCKS_EXCLUDED(checkpoint_mutex_);
  // One round of everything, done when it returns.
  absl::Status RunRound() ABSL_LOCKS_EXCLUDED(round_mutex_);
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Loop();
  bool Stopping() const ABSL_LOCKS_EXCLUDED(mutex_);
  void WatchDisk();
  // Says so once when something in the index could not be read.
  void WatchIndex();
  absl::Status PrepareSegment();
  absl::Status MaybeCheckpoint();

  // Retention (retention.cc).
  absl::Status ApplyRetention();
  bool RetentionDue(const Log& log, int64_t now_ms) const ABSL_SHARED_LOCKS_REQUIRED(log.mutex);
  absl::Status PlanRetention(const std::shared_ptr<Log>& log, int64_t now_ms,
                             std::vector<std::pair<std::shared_ptr<Log>, Offset>>& moves);

  // Giving space back (reclaim.cc, relocation.cc).
  absl::Status ReclaimDead();
  absl::Status ReclaimLog(LogId id, Offset from, Offset to);
  absl::Status FlushReclaims();
  absl::Status RelocateSparse();
  absl::Status RelocateSegment(SegmentId id);
  // What the index points to in the segment, in order of log and offset.
  absl::StatusOr<std::vector<std::pair<LogId, Run>>> LiveRuns(const Segment& segment);
  // Appends the run's entries to `to` as they are, checked.
  absl::Status CopyRun(const Segment& segment, LogId log, const Run& run, std::string& to);
  absl::Status RemoveDeadSegments();

  Parts parts_;

  mutable absl::Mutex mutex_;
  absl::CondVar wake_;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  // A round's.
  std::vector<Reclaim> reclaims_;
  size_t reclaim_runs_ = 0;
  int64_t snapshot_bytes_ = 0;
  bool index_damage_told_ = false;

  absl::Mutex round_mutex_;       // one round at a time; before checkpoint_mutex_
  absl::Mutex checkpoint_mutex_;  // one flush at a time
  std::thread thread_;
};

}  // namespace naru
