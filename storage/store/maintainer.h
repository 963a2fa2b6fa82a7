// The maintainer: retention, giving space back, compaction, checkpoints, the disk's level. A thread of its
// own, which asks the appender for whatever changes the store.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
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
#include "storage/store/compactor.h"
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
  // What cannot wait for the end of a long duty.
  absl::Status KeepUp();
  // A piece of a removed segment; not between its removal and that being durable. False: there is no more.
  bool GiveBackSome() ABSL_LOCKS_EXCLUDED(round_mutex_);

  // Retention (retention.cc).
  absl::Status ApplyRetention();
  bool RetentionDue(const Log& log, int64_t now_ms) const ABSL_SHARED_LOCKS_REQUIRED(log.mutex);
  struct DueLog {
    std::shared_ptr<Log> log;
    Offset end;  // the index has everything below
    int64_t truncations = 0;
  };
  std::vector<DueLog> FindDue(int64_t now_ms) const;
  // Truncated or deleted since.
  static bool ChangedSince(const DueLog& due);
  // The move that retention asks for, if it asks for any.
  absl::StatusOr<std::optional<StartOp>> PlanRetention(const DueLog& due, int64_t now_ms);
  // Notes when to look at the log again.
  absl::Status NoteNextExpiry(const DueLog& due, int64_t retention_ms, Offset start, int64_t not_before_ms);
  void MoveStarts(std::vector<StartOp> moves);

  // Giving space back (reclaim.cc, relocation.cc).
  absl::Status ReclaimDead();
  absl::Status ReclaimLog(LogId id, Offset from, Offset to);
  absl::Status FlushReclaims();
  absl::Status RelocateSparse();
  // The sealed segment with the least share alive, if that is little enough and worth a try.
  std::optional<SegmentRow> FindSparse() const;
  // The disk has room for what is copied before anything comes back for it.
  bool HasRoomToRelocate() const;
  // The emptying of one segment.
  struct Relocation {
    const Segment& segment;
    // What is collected for the next move entry.
    MoveOp op = {};
    // Handed to the appender so far.
    int64_t bytes = 0;
    // What cannot be moved: how many, and why the first of it.
    int64_t left = 0;
    absl::Status problem = absl::OkStatus();

    void Leave(const absl::Status& why);
  };
  // Moves what can be moved. Errors are of the store as a whole: it is full, it stops, it broke.
  absl::Status RelocateSegment(Relocation& relocation);
  // Adds the run to the next move, or leaves it.
  absl::Status AddToMove(LogId log, const Run& run, Relocation& relocation);
  absl::Status FlushMove(Relocation& relocation);
  // What the index points to in the segment, in order of log and offset; as far as the segment can be read.
  std::vector<std::pair<LogId, Run>> LiveRuns(Relocation& relocation);
  // Appends the run's entries to `to` as they are, checked.
  absl::Status CopyRun(const Segment& segment, LogId log, const Run& run, std::string& to);
  absl::Status RemoveDeadSegments();

  // Compaction by key, as far as this round's share of bytes goes.
  absl::Status Compact();

  Parts parts_;
  Compactor compactor_;

  mutable absl::Mutex mutex_;
  absl::CondVar wake_;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  // A round's.
  std::vector<Reclaim> reclaims_;
  size_t reclaim_runs_ = 0;
  int64_t snapshot_bytes_ = 0;
  bool index_damage_told_ = false;
  // Segments that could not be emptied, with their live bytes: until those change, trying again would come to
  // the same.
  std::map<SegmentId, int64_t> tried_;

  absl::Mutex round_mutex_;       // one round at a time; before checkpoint_mutex_
  absl::Mutex checkpoint_mutex_;  // one flush at a time
  std::thread thread_;
};

}  // namespace naru
