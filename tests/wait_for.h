// Waiting in tests for what nobody signals.
#pragma once

#include <chrono>
#include <thread>

#include "absl/functional/function_ref.h"

namespace naru::testing {

// Looks each millisecond whether `condition` holds; false after half a minute.
inline bool WaitFor(absl::FunctionRef<bool()> condition) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace naru::testing
