// Counts of durations in buckets about 3 % wide, from 1 µs to over an hour, in a fixed 8 KiB. Not
// thread-safe.
#pragma once

#include <array>
#include <cstdint>

#include "absl/time/time.h"

namespace naru::cli {

class LatencyHistogram {
 public:
  void Add(absl::Duration latency);
  int64_t count() const { return count_; }
  absl::Duration max() const { return max_; }
  // The latency that `fraction` (0 to 1) of those added did not pass, within the width of a bucket; 0 when
  // there are none.
  absl::Duration Percentile(double fraction) const;

 private:
  // 32 steps for each doubling.
  static constexpr int kSteps = 32;
  static constexpr int kBuckets = kSteps * 32;
  static int BucketOf(int64_t us);
  static int64_t UpperBoundUs(int bucket);

  std::array<int64_t, kBuckets> counts_{};
  int64_t count_ = 0;
  absl::Duration max_ = absl::ZeroDuration();
};

}  // namespace naru::cli
