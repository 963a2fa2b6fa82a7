#include "clients/cpp/backoff.h"

#include <algorithm>

#include "storage/base/status.h"

namespace naru::client {

absl::Status ValidateBackoff(const BackoffOptions& options) {
  if (options.initial <= absl::ZeroDuration()) {
    return InvalidField("backoff.initial", absl::FormatDuration(options.initial), "more than 0 is allowed");
  }
  if (options.max < options.initial) {
    return InvalidField("backoff.max", absl::FormatDuration(options.max),
                        "at least backoff.initial is allowed");
  }
  return absl::OkStatus();
}

Backoff::Backoff(const BackoffOptions& options, uint32_t seed) : options_(options), random_(seed) {}

absl::Duration Backoff::Next() {
  // 2^30 times any sensible start is past any sensible cap; more would overflow nothing but serve nobody.
  const int doublings = std::min(attempts_, 30);
  ++attempts_;
  const absl::Duration bound = std::min(options_.initial * (int64_t{1} << doublings), options_.max);
  return bound * std::uniform_real_distribution<double>(0.5, 1.0)(random_);
}

}  // namespace naru::client
