// Latencies counted in buckets: plain atomics that any thread may count in, and a snapshot for whoever
// renders metrics.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace naru::services {

// Bucket i counts what took at most UpperBoundNs(i); the last one everything else. Bounds double from 64 µs
// to 67 s.
class LatencyBuckets {
 public:
  static constexpr size_t kBuckets = 22;
  static constexpr int64_t UpperBoundNs(size_t bucket) { return int64_t{1} << (16 + bucket); }
  struct Snapshot {
    std::array<int64_t, kBuckets> counts{};
    int64_t sum_ns = 0;
  };

  void Add(int64_t elapsed_ns) {
    const uint64_t above = elapsed_ns <= 0 ? 0 : static_cast<uint64_t>(elapsed_ns - 1) >> 16;
    const size_t bucket = std::min<size_t>(static_cast<size_t>(std::bit_width(above)), kBuckets - 1);
    counts_[bucket].fetch_add(1, std::memory_order_relaxed);
    sum_ns_.fetch_add(elapsed_ns, std::memory_order_relaxed);
  }
  Snapshot Read() const {
    Snapshot snapshot;
    for (size_t i = 0; i < kBuckets; ++i) snapshot.counts[i] = counts_[i].load(std::memory_order_relaxed);
    snapshot.sum_ns = sum_ns_.load(std::memory_order_relaxed);
    return snapshot;
  }

 private:
  std::array<std::atomic<int64_t>, kBuckets> counts_{};
  std::atomic<int64_t> sum_ns_{0};
};

}  // namespace naru::services
