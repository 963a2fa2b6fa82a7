// The fold: what every entry does to the state in memory and to the index, the same when it is written and
// when it is replayed. Batches need nothing but the log's state. The other entries may read the index
// (ReadsIndex): then everything before them must have been committed to it.
//
// One thread: the appender, or recovery before there is one.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "storage/index/index.h"
#include "storage/segments/control_bodies.h"
#include "storage/segments/entry.h"
#include "storage/store/log_table.h"
#include "storage/store/segment_table.h"

namespace naru {

struct EntryPlace {
  SegmentId segment;
  uint64_t position = 0;
};

class Fold {
 public:
  // `producer_expiry_ms`: see StoreOptions.
  Fold(LogTable& logs, SegmentTable& segments, const Index& index, int64_t producer_expiry_ms)
      : logs_(logs), segments_(segments), index_(index), producer_expiry_ms_(producer_expiry_ms) {}

  static bool ReadsIndex(EntryType type) {
    return type == EntryType::kTruncate || type == EntryType::kReclaim || type == EntryType::kMove ||
           type == EntryType::kRewrite;
  }

  // A batch at the log's end. One without kRunStart continues the run begun before it.
  void ApplyBatch(const std::shared_ptr<Log>& log, const EntryHeader& header, const EntryPlace& place)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(log->mutex);
  // Whether an entry may not be applied before the run being laid was closed: as it must before any but its
  // next batch.
  bool run_open() const { return open_run_.has_value(); }
  const std::shared_ptr<Log>& open_log() const { return open_log_; }
  uint32_t open_run_bytes() const { return open_run_ ? open_run_->length : 0; }
  // Puts the run into the index, and returns it.
  Run CloseRun(IndexUpdate& update);

  // Any entry, in recovery: CORRUPT_DATA when it cannot follow what was before. Closes runs where necessary.
  absl::Status Replay(const EntryHeader& header, std::string_view body, const EntryPlace& place,
                      IndexUpdate& update);
  // An entry that is no batch.
  absl::Status ApplyControl(const EntryHeader& header, std::string_view body, const EntryPlace& place,
                            IndexUpdate& update);

  // The runs that the move stands for, if the log is there and the index has them where it says; else
  // nothing, and it must not be done. The index has everything written before.
  absl::StatusOr<std::vector<Run>> RunsToMove(const MovedRun& move) const;

  // Puts the rows of all that changed since the last call. No run is open.
  void Finish(const AppliedPosition& applied, IndexUpdate& update);

  // The newest complete snapshot entry: segments that end before it are not needed to rebuild the index.
  // Any thread.
  Sequence snapshot_sequence() const { return Sequence(snapshot_sequence_.load(std::memory_order_relaxed)); }
  void set_snapshot_sequence(Sequence sequence) {
    snapshot_sequence_.store(sequence.value(), std::memory_order_relaxed);
  }

  // Deleted logs whose runs are not all given up, each with how far it has come. Read by the maintainer, too.
  std::vector<std::pair<LogId, Offset>> Doomed() const;
  void AddDoomed(LogId log);

 private:
  void NoteChanged(const std::shared_ptr<Log>& log) { changed_.insert(log); }

  absl::Status CreateLogs(std::string_view body);
  absl::Status DeleteLogs(std::string_view body, IndexUpdate& update);
  absl::Status MoveStarts(std::string_view body);
  absl::Status Truncate(std::string_view body, IndexUpdate& update);
  absl::Status BeginEpochs(std::string_view body);
  absl::Status ReclaimRuns(std::string_view body, IndexUpdate& update);
  absl::Status ReclaimLog(const Reclaim& reclaim, IndexUpdate& update);
  absl::Status MoveRuns(const EntryHeader& header, std::string_view body, const EntryPlace& place,
                        IndexUpdate& update);
  // Puts the run in place of those that it stands for, if the index still has them; what compaction left out
  // more than before, else nothing.
  absl::StatusOr<std::optional<int64_t>> PlaceRun(MovedRun move, const EntryHeader& header,
                                                  const EntryPlace& place, IndexUpdate& update);
  absl::Status RewriteRuns(const EntryHeader& header, std::string_view body, const EntryPlace& place,
                           IndexUpdate& update);
  absl::Status SetCompacted(const Compacted& compacted);
  absl::Status RemoveSegments(std::string_view body, IndexUpdate& update);
  void NoteSnapshot(const EntryHeader& header, IndexUpdate& update);

  LogTable& logs_;
  SegmentTable& segments_;
  const Index& index_;
  const int64_t producer_expiry_ms_;

  std::shared_ptr<Log> open_log_;
  std::optional<Run> open_run_;
  absl::flat_hash_set<std::shared_ptr<Log>> changed_;
  // Each once, however many of its batches were laid.
  absl::flat_hash_set<std::pair<std::shared_ptr<Log>, int64_t>> changed_producers_;
  std::vector<std::pair<LogId, int64_t>> forgotten_producers_;

  std::atomic<uint64_t> snapshot_sequence_{0};
  // The snapshot whose pieces are coming: its first piece, and the last seen.
  Sequence snapshot_first_;
  Sequence snapshot_last_;

  mutable absl::Mutex doomed_mutex_;
  std::map<LogId, Offset> doomed_ ABSL_GUARDED_BY(doomed_mutex_);
};

}  // namespace naru
