#include "tools/cli/latency_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace naru::cli {

// Below kSteps µs a bucket is a microsecond; above, the leading bit says which doubling and the five bits
// behind it which step.
int LatencyHistogram::BucketOf(int64_t us) {
  const uint64_t value = static_cast<uint64_t>(std::max<int64_t>(us, 0));
  if (value < kSteps) return static_cast<int>(value);
  const int doubling = std::bit_width(value) - 6;  // from 0 for 32..63
  const int step = static_cast<int>(value >> doubling) - kSteps;
  return std::min(kSteps * (doubling + 1) + step, kBuckets - 1);
}

int64_t LatencyHistogram::UpperBoundUs(int bucket) {
  if (bucket < kSteps) return bucket;
  const int doubling = bucket / kSteps - 1;
  const int64_t step = bucket % kSteps + kSteps;
  return ((step + 1) << doubling) - 1;
}

void LatencyHistogram::Add(absl::Duration latency) {
  ++counts_[static_cast<size_t>(BucketOf(absl::ToInt64Microseconds(latency)))];
  ++count_;
  max_ = std::max(max_, latency);
}

absl::Duration LatencyHistogram::Percentile(double fraction) const {
  const auto wanted =
      std::max<int64_t>(1, static_cast<int64_t>(std::ceil(fraction * static_cast<double>(count_))));
  int64_t seen = 0;
  for (int bucket = 0; bucket < kBuckets && count_ > 0; ++bucket) {
    seen += counts_[static_cast<size_t>(bucket)];
    if (seen >= wanted) return std::min(absl::Microseconds(UpperBoundUs(bucket)), max_);
  }
  return absl::ZeroDuration();
}

}  // namespace naru::cli
