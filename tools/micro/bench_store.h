// A whole partition store on NullFiles, for measuring its append path: its own threads, no retention, no
// checkpoints, a clock that stands still. The index is the real one, in a temporary directory that goes with
// the object. Used by one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/cord.h"
#include "storage/base/clock.h"
#include "storage/base/event_log.h"
#include "storage/batch/batch.h"
#include "storage/store/partition_store.h"
#include "tools/micro/null_files.h"

namespace naru::micro {

class BenchStore {
 public:
  struct Options {
    uint64_t logs = 1;
    Durability durability = Durability::kFsync;
    // A start looks through the first one for what may be in it: under valgrind it had better be small.
    int64_t segment_bytes = int64_t{256} << 20;
  };
  // With logs 1 to `options.logs`, empty and in the index. Dies when the store cannot be made.
  explicit BenchStore(const Options& options);
  ~BenchStore();

  // Appends `batch` (`info`: what the walk found) `count` times, to one log after the other, each when the
  // one before it was acknowledged: every group has one batch.
  void AppendOneByOne(const absl::Cord& batch, const BatchInfo& info, int64_t count);
  // Holds the appender up until all are in its queue, so that they become as few groups as its bounds allow,
  // the same in every run. Returns nanoseconds from letting it go to the last acknowledgement. At most
  // kQueueBytes together.
  int64_t AppendTogether(const absl::Cord& batch, const BatchInfo& info, int64_t count);
  // As they come, with at most `depth` under way.
  void AppendPipelined(const absl::Cord& batch, const BatchInfo& info, int64_t count, int64_t depth);
  // Waits until everything acknowledged is in the index, too, and the store's threads have nothing to do.
  void Settle();

  static constexpr int64_t kQueueBytes = int64_t{256} << 20;

 private:
  // For the next batch, in turn.
  AppendRequest NextRequest(const absl::Cord& batch, const BatchInfo& info);
  // Keeps the appender busy until it is destroyed.
  class Hold;

  const uint64_t logs_;
  uint64_t turn_ = 0;
  std::string directory_;
  NullFiles files_;
  ManualClock clock_;
  NullEventLog events_;
  std::unique_ptr<PartitionStore> store_;
};

}  // namespace naru::micro
