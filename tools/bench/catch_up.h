// A reader far behind: reads one partition after the other from disk, each from its beginning, while
// producers write to all of them. What lies in a partition is scattered between what was written to the
// others.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "tools/bench/bench_hub.h"
#include "tools/bench/report.h"
#include "tools/bench/workloads.h"

namespace naru::bench {

struct CatchUpWorkload {
  int partitions = 1'000;
  int64_t record_bytes = 1'024;
  int64_t batch_bytes = int64_t{64} << 10;
  // Written before, in turn to each partition, a batch at a time.
  int64_t total_bytes = int64_t{4} << 30;
  // Records a second that are written meanwhile, and for as long before.
  double records_per_second = 50'000;
};

// Three figures: the producers' before, the producers' meanwhile, and the reader's, which reads until the
// producers end or everything was read. The hub is the bench's own: it is started anew in between, and the
// page cache dropped.
absl::StatusOr<std::vector<Figure>> MeasureCatchUp(BenchHub& hub, const CatchUpWorkload& workload,
                                                   const RunTime& time);

}  // namespace naru::bench
