// What every workload is told and what it gives back.
#pragma once

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tools/bench/histogram.h"

namespace naru::bench {

// The time of a run. Nothing is counted before `begin` (warm-up) or from `end` on.
struct Window {
  int64_t begin_ns = 0;
  int64_t end_ns = 0;

  static Window FromNow(double warmup_seconds, double seconds);
  bool Contains(int64_t ns) const { return ns >= begin_ns && ns < end_ns; }
  double seconds() const { return static_cast<double>(end_ns - begin_ns) / 1e9; }
};

// What was finished within the window.
struct Tally {
  int64_t records = 0;
  // Bytes of values.
  int64_t payload_bytes = 0;
  int64_t failures = 0;
  std::string first_failure;
  // From the intended send time to the answer, one value for each request or item.
  Histogram latency;
  // From the intended send time to the record's arrival at a reader, one value for each record.
  Histogram end_to_end;

  void Merge(const Tally& other);
  void Fail(std::string_view why);
};

using Channels = std::vector<std::shared_ptr<grpc::Channel>>;

// `count` connections of their own to `address`, as fast as gRPC goes.
Channels Connect(const std::string& address, int count);

}  // namespace naru::bench
