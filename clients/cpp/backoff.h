// How long to wait before the next try: exponential, capped, with jitter, so that many clients that failed
// together do not come back together.
#pragma once

#include <cstdint>
#include <random>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace naru::client {

struct BackoffOptions {
  // Bound of the first delay. More than 0.
  absl::Duration initial = absl::Milliseconds(50);
  // Bound of every delay. At least `initial`.
  absl::Duration max = absl::Seconds(2);
};

// INVALID_ARGUMENT naming the option, its value and what is allowed.
absl::Status ValidateBackoff(const BackoffOptions& options);

// The delays of one thing that is tried again and again. Not thread-safe.
class Backoff {
 public:
  // `options` are valid. The same seed gives the same delays.
  Backoff(const BackoffOptions& options, uint32_t seed);
  explicit Backoff(const BackoffOptions& options) : Backoff(options, std::random_device{}()) {}

  // The n-th call since the last Reset gives a random delay in [bound/2, bound], bound = min(initial *
  // 2^(n-1), max).
  absl::Duration Next();
  // After a success.
  void Reset() { attempts_ = 0; }

 private:
  const BackoffOptions options_;
  std::minstd_rand random_;
  int attempts_ = 0;  // calls of Next since the last Reset
};

}  // namespace naru::client
