// One pass of compaction over one log: first the keys of what is dirty are collected, with where the newest
// record of each is, until the end or until the map is full; then everything from the log's start up to there
// is gone over again, and runs from which something is to be left out are packed anew. In steps: between two,
// runs may be moved, and other duties have their turn.
//
// Which records go (invariant L11: the newest record of each key, offsets and order stay):
//   - one that another record of the same key follows, which is in the map. What is in the map is below the
//     bound and stays as long as the log is not truncated, and a rewrite takes effect only if it was not;
//   - a tombstone whose time is over. It lies below what an earlier pass had made clean; that pass left out
//     all older records of its key, so that none of them can come to light again.
//
// The compactor's thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "storage/index/index.h"
#include "storage/store/key_map.h"
#include "storage/store/log.h"
#include "storage/store/run_pack.h"
#include "storage/store/run_reader.h"

namespace naru {

struct CompactionPlan {
  std::shared_ptr<Log> log;
  // As it was when the pass was planned.
  int64_t truncations = 0;
  Offset start;
  CompactionState before;
  // Records at and above are left alone: they may be undurable, not committed, or too young.
  Offset bound;
  // Tombstones below go.
  Offset tombstones_due_below;
  int64_t began_ms = 0;
  int64_t began_ns = 0;
};

// Whether a record stays, and what becomes of the pass by it.
class CompactionChoice {
 public:
  // `end`: the map knows the newest record below it of each key that has one from the clean offset on.
  CompactionChoice(const KeyMap& keys, Offset end, Offset tombstones_due_below)
      : keys_(keys), end_(end), tombstones_due_below_(tombstones_due_below) {}

  bool Keeps(Offset offset, const RecordView& record);

  int64_t tombstones_left() const { return tombstones_left_; }
  int64_t tombstones_left_out() const { return tombstones_left_out_; }
  int64_t records_left_out() const { return records_left_out_; }

 private:
  const KeyMap& keys_;
  const Offset end_;
  const Offset tombstones_due_below_;
  int64_t tombstones_left_ = 0;
  int64_t tombstones_left_out_ = 0;
  int64_t records_left_out_ = 0;
};

class CompactionPass {
 public:
  struct Parts {
    const Index& index;
    const RunReader& reader;
    uint32_t salt = 0;
    // Of one rewritten run, at most, unless a single batch is larger.
    int64_t pack_bytes_max = 0;
    // Of any rewritten run: what a segment holds.
    int64_t run_bytes_max = 0;
  };
  CompactionPass(CompactionPlan plan, Parts parts, KeyMap keys);

  // Reads about `budget` bytes, which it lowers, and hands packs that are worth writing to `take`. True: the
  // pass is through. The index has what was written before. After an error the pass comes to nothing:
  // CORRUPT_DATA when something cannot be read, BATCH_TOO_LARGE when what is left of a run does not fit into
  // a segment, ABORTED when the log changed, and what `take` says.
  absl::StatusOr<bool> Step(int64_t& budget, absl::FunctionRef<absl::Status(RunPack&)> take);

  const CompactionPlan& plan() const { return plan_; }
  // Up to where the log is clean when the pass is through; below the bound if the map was full before.
  Offset end() const { return end_; }
  bool cut_by_memory() const { return end_ < plan_.bound; }
  const CompactionChoice& choice() const { return *choice_; }
  int64_t read_bytes() const { return read_bytes_; }

 private:
  absl::Status Collect(int64_t& budget);
  absl::Status CollectRun(const Run& run);
  absl::Status Rewrite(int64_t& budget, absl::FunctionRef<absl::Status(RunPack&)> take);
  absl::Status RewriteRun(const Run& run, RunPack& pack, absl::FunctionRef<absl::Status(RunPack&)> take);
  absl::Status FlushPack(RunPack& pack, absl::FunctionRef<absl::Status(RunPack&)> take) const;
  absl::StatusOr<std::vector<Run>> NextRuns(Offset end) const;
  // The run's batches; `bytes` keeps what they refer to.
  absl::StatusOr<std::vector<RunEntry>> ReadRun(const Run& run, std::string& bytes);

  const CompactionPlan plan_;
  const Parts parts_;
  KeyMap keys_;
  // Once everything is collected.
  std::unique_ptr<CompactionChoice> choice_;
  Offset end_;
  Offset at_;
  int64_t read_bytes_ = 0;
};

}  // namespace naru
