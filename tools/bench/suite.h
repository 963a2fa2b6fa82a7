// The first figures beside what this machine can do at all, in one run: disk, fdatasync, gRPC, then the hub.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tools/bench/bench_hub.h"
#include "tools/bench/report.h"
#include "tools/bench/workloads.h"

namespace naru::bench {

// An EchoServer in a process of its own.
class EchoProcess {
 public:
  static absl::StatusOr<std::unique_ptr<EchoProcess>> Start();
  const std::string& address() const { return address_; }
  pid_t pid() const { return child_->pid(); }

 private:
  EchoProcess() = default;
  std::unique_ptr<ChildProcess> child_;
  std::string address_;
};

// ProduceStream to an EchoServer with batches of this shape.
absl::StatusOr<Figure> MeasureEcho(const EchoProcess& echo, const BatchShape& shape, int depth,
                                   const RunTime& time);
// Fetch answers of 1 MiB.
absl::StatusOr<Figure> MeasureFetchEcho(const EchoProcess& echo, const RunTime& time);
absl::StatusOr<Figure> MeasureAppend(const std::string& folder, int64_t piece_bytes, int64_t sync_every,
                                     const RunTime& time);

// Runs everything and writes a line to `out` as soon as it is known. The figures, in order; fails with the
// first workload that could not be run.
absl::StatusOr<std::vector<Figure>> RunSuite(BenchHub& hub, const std::string& folder, const RunTime& time,
                                             std::FILE* out);

}  // namespace naru::bench
