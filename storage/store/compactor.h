// Compaction by key: chooses the logs that are dirty enough, the dirtiest first, and takes them through their
// passes, one at a time, a bounded number of bytes in each round of the maintainer. What is rewritten goes to
// the appender in entries of bounded size.
//
// The maintainer's thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "storage/base/clock.h"
#include "storage/base/event_log.h"
#include "storage/segments/segment_writer.h"
#include "storage/store/appender.h"
#include "storage/store/compaction_pass.h"
#include "storage/store/counters.h"
#include "storage/store/partition_store.h"

namespace naru {

class Compactor {
 public:
  struct Parts {
    const StoreOptions& options;
    const Clock& clock;
    EventLog& events;
    const Index& index;
    const LogTable& logs;
    const SegmentWriter& segment_writer;
    Syncer& syncer;
    Appender& appender;
    const LogCuts& cuts;
    const RunReader& reader;
    StoreCounters& counters;
    // What cannot wait until a round ends, and whether it is to end early.
    std::function<absl::Status()> keep_up;
    std::function<bool()> stopping;
  };
  explicit Compactor(Parts parts) : parts_(std::move(parts)) {}

  // Looks at all logs. True: there is something to do.
  bool LookAround();
  // A round: goes on with the pass that is under way, and begins others, until the round's bytes are used up.
  // What is wrong with one log is told to the event log; errors are of the store as a whole.
  absl::Status Run();

 private:
  struct Candidate {
    std::shared_ptr<Log> log;
    double dirty_ratio = 0;
    Offset durable_end;  // of what the index has by the time of the pass
  };
  // A pass that is through, whose last part waits to be written.
  struct Finished {
    LogId log;
    bool cut_by_memory = false;
    int64_t began_ns = 0;
  };

  absl::Status RunPass(int64_t& budget);
  // Gives the pass up when its log was deleted, or is not to be compacted any more.
  void DropUnwanted();
  // Nothing: not now.
  absl::StatusOr<std::optional<CompactionPass>> Plan(const Candidate& candidate);
  // Up to where the log may be compacted.
  absl::StatusOr<Offset> BoundOf(const Log& log, Offset durable_end, int64_t min_lag_ms) const;
  absl::Status Add(RunPack& pack);
  RewriteOp::Part& PartOfPass();
  absl::Status FinishPass();
  // Of entries that are written together, unless a single run is larger; and of such a one.
  int64_t OpBytesMax() const;
  int64_t RunBytesMax() const;
  // Writes what was collected.
  absl::Status Flush();
  // Gives the pass up. Unless the log changed, it is left alone for a while, or until something changes.
  void Fail(const absl::Status& why);

  Parts parts_;
  std::vector<Candidate> candidates_;  // the dirtiest last
  std::optional<CompactionPass> pass_;
  RewriteOp op_;
  size_t op_old_runs_ = 0;
  int64_t op_old_bytes_ = 0;
  bool pass_late_ = false;  // the log of pass_ changed: it must be given up
  std::vector<Finished> finished_;
};

}  // namespace naru
