// Replay across gaps: segments that were removed, because nothing in them was alive, before the index was
// lost. What the missing entries did is not known until a snapshot entry says what came of it; until then
// only runs are kept, the newest word on every offset winning.
#pragma once

#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "storage/index/index.h"
#include "storage/segments/control_bodies.h"
#include "storage/segments/entry.h"
#include "storage/store/fold.h"
#include "storage/store/log_table.h"
#include "storage/store/run_reader.h"
#include "storage/store/segment_table.h"

namespace naru {

class Rebuild {
 public:
  Rebuild(LogTable& logs, SegmentTable& segments, Index& index, const RunReader& reader)
      : logs_(logs), segments_(segments), index_(index), reader_(reader) {}

  // A gap comes before the next entry.
  void BeginGap();
  // From a gap to the next snapshot: applies an entry and commits what it does.
  absl::Status Apply(const EntryHeader& header, std::string_view body, const EntryPlace& place);
  // At any time after a gap: a move or rewrite, whose runs may come from segments that are gone, so that the
  // index does not have them where they were. They were there, or the move would not have been written.
  absl::Status ApplyMove(const EntryHeader& header, std::string_view body, const EntryPlace& place);
  // The last entry completed a snapshot: logs, index and dead ids are what they were when it was written, and
  // what follows can be replayed as ever.
  bool complete() const { return complete_; }
  Sequence snapshot_sequence() const { return snapshot_first_; }

 private:
  absl::Status CommitOpenRun();
  absl::Status PlaceMoves(const EntryHeader& header, std::vector<MovedRun> moves, const EntryPlace& place);
  absl::Status PlaceRun(LogId log, const Run& run);
  // Takes [base, next) of `log` away from what runs say of it so far.
  absl::Status MakeRoom(LogId log, Offset base, Offset next, IndexUpdate& update);
  absl::Status AddPiece(const EntryHeader& header, std::string_view body);
  absl::Status Reconcile();
  absl::Status ReconcileRuns(IndexUpdate& update);

  LogTable& logs_;
  SegmentTable& segments_;
  Index& index_;
  const RunReader& reader_;

  std::optional<std::pair<LogId, Run>> open_run_;
  SnapshotPiece snapshot_;
  Sequence snapshot_first_;
  Sequence snapshot_last_;
  bool complete_ = false;
};

// Sums up for each log what compaction left out of its runs: runs whose segments went before the index was
// lost were not there to be counted out. After a rebuild.
absl::Status CountBytesGone(const LogTable& logs, Index& index);

// The sequence of the segments' ids is whole but for what was removed on purpose, and every log's runs cover
// it from start to end: DATA_LOSS otherwise. After a rebuild.
absl::Status CheckRebuilt(const LogTable& logs, const Index& index);

}  // namespace naru
