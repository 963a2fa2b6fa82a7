#include "tools/bench/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace naru::bench {

// Values below 2^kSubBits have a bucket each; from there on every doubling has 2^kSubBits buckets.
size_t Histogram::IndexOf(int64_t ns) {
  const auto value = static_cast<uint64_t>(ns);
  if (value < (1u << kSubBits)) return value;
  const int shift = std::bit_width(value) - kSubBits - 1;
  return (static_cast<size_t>(shift) << kSubBits) + (value >> shift);
}

int64_t Histogram::EndOf(size_t index) {
  if (index < (1u << kSubBits)) return static_cast<int64_t>(index);
  const size_t shift = (index >> kSubBits) - 1;
  const size_t top = index - (shift << kSubBits);
  return static_cast<int64_t>(((top + 1) << shift) - 1);
}

Histogram::Histogram() : counts_(IndexOf(kMax) + 1) {}

void Histogram::Record(int64_t ns, int64_t times) {
  ns = std::clamp<int64_t>(ns, 0, kMax);
  min_ = count_ ? std::min(min_, ns) : ns;
  max_ = std::max(max_, ns);
  counts_[IndexOf(ns)] += times;
  count_ += times;
  sum_ += static_cast<double>(ns) * static_cast<double>(times);
}

void Histogram::Merge(const Histogram& other) {
  if (!other.count_) return;
  min_ = count_ ? std::min(min_, other.min_) : other.min_;
  max_ = std::max(max_, other.max_);
  count_ += other.count_;
  sum_ += other.sum_;
  for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
}

int64_t Histogram::Percentile(double percent) const {
  if (!count_) return 0;
  const double share = std::clamp(percent, 0.0, 100.0) / 100;
  const auto wanted =
      std::max<int64_t>(1, static_cast<int64_t>(std::ceil(share * static_cast<double>(count_))));
  int64_t seen = 0;
  for (size_t i = 0; i < counts_.size(); ++i) {
    seen += counts_[i];
    if (seen >= wanted) return std::min(EndOf(i), max_);
  }
  return max_;
}

}  // namespace naru::bench
