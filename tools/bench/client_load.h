// The C++ client as an application uses it: records handed to a Producer one by one, and taken from a
// Subscription one delivery after the other. Everything between is the client's: batches, streams, copies.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "tools/bench/bench_hub.h"
#include "tools/bench/report.h"
#include "tools/bench/workloads.h"

namespace naru::bench {

struct ClientWorkload {
  int partitions = 16;
  int64_t record_bytes = 1024;
  int64_t batch_bytes = int64_t{256} << 10;
  bool fsync = true;
  bool idempotent = true;
};

// One figure for writing, as fast as Send takes it from one thread, and one for reading all of it again.
absl::StatusOr<std::vector<Figure>> MeasureClient(BenchHub& hub, const ClientWorkload& workload,
                                                  const RunTime& time);

}  // namespace naru::bench
