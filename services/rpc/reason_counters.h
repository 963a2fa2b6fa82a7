// Failures counted by reason: plain atomics that any thread may count in, and a snapshot for whoever renders
// metrics.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "absl/status/status.h"
#include "storage/base/status.h"

namespace naru::services {

inline constexpr size_t kReasonCount = static_cast<size_t>(Reason::kInternal) + 1;

class ReasonCounters {
 public:
  // By static_cast<size_t>(Reason).
  using Snapshot = std::array<int64_t, kReasonCount>;

  // A status that MakeError did not make counts as kInternal; OK is not counted.
  void Count(const absl::Status& status) {
    if (status.ok()) return;
    counts_[static_cast<size_t>(ReasonOf(status).value_or(Reason::kInternal))].fetch_add(
        1, std::memory_order_relaxed);
  }
  Snapshot Read() const {
    Snapshot snapshot;
    for (size_t i = 0; i < kReasonCount; ++i) snapshot[i] = counts_[i].load(std::memory_order_relaxed);
    return snapshot;
  }

 private:
  std::array<std::atomic<int64_t>, kReasonCount> counts_{};
};

}  // namespace naru::services
