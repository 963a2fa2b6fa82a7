// Option values as people write them: sizes, durations, addresses. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace naru::services {

// "1048576", "64KiB", "64MiB", "1GiB", "2TiB", and decimal "kB", "MB", "GB", "TB"; a unit may follow a space
// and its case does not matter. Whole numbers from 0.
absl::StatusOr<int64_t> ParseSize(std::string_view text);
// The shortest exact form: "64MiB", "3584KiB", "1000".
std::string FormatSize(int64_t bytes);

// "100ms", "5s", "10m", "2h", "7d", and "0"; whole numbers from 0. Milliseconds.
absl::StatusOr<int64_t> ParseDuration(std::string_view text);
std::string FormatDuration(int64_t ms);

// A whole number from 0.
absl::StatusOr<int64_t> ParseCount(std::string_view text);
// A number such as 0.34.
absl::StatusOr<double> ParseShare(std::string_view text);

struct HostPort {
  std::string host;  // without brackets
  int port = 0;
  // "[::1]:9410" for IPv6.
  std::string ToString() const;
};

// "127.0.0.1:9410", "localhost:0", "[::1]:9410".
absl::StatusOr<HostPort> ParseHostPort(std::string_view text);

}  // namespace naru::services
