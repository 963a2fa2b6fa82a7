// How long tests of clients wait.
#pragma once

#include "absl/time/time.h"

namespace naru::client {

// Longer than anything that a test waits for takes.
inline constexpr absl::Duration kLong = absl::Seconds(60);

}  // namespace naru::client
