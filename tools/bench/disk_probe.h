// What the disk under a directory can do by itself, measured with the plainest writes there are.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "tools/bench/histogram.h"

namespace naru::bench {

// Appends of `piece_bytes` to preallocated files of 256 MiB, one after the other, until `seconds` are over or
// `bytes_max` are written.
struct AppendProbe {
  int64_t piece_bytes = 64 << 10;
  // fdatasync after so many pieces: half of the time with the processors kept awake, of which the faster half
  // counts; 0: none, and the end is not waited for.
  int64_t sync_every = 0;
  double seconds = 2;
  int64_t bytes_max = int64_t{4} << 30;
};

struct AppendResult {
  double seconds = 0;  // that were measured
  double bytes_per_second = 0;
  double pieces_per_second = 0;
  // Of each fdatasync.
  Histogram sync;
};

// The files are made in `folder` and removed again. UNAVAILABLE with the system's words when a call fails.
absl::StatusOr<AppendResult> ProbeAppend(const std::string& folder, const AppendProbe& probe);

}  // namespace naru::bench
