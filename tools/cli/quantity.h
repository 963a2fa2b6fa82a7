// Durations and sizes as people write them. Pure, thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace naru::cli {

// A whole number in [low, high], nothing around it.
std::optional<int64_t> ParseInteger(std::string_view text, int64_t low, int64_t high);

// "500ms", "10s", "1.5h", "7d", "2w", "1h30m"; a bare number is seconds. Not negative.
std::optional<absl::Duration> ParseDuration(std::string_view text);

// "65536", "64KiB", "1MiB", "2GiB", "10KB", "5MB", "1GB" (letters in any case, "K" as "KiB"). Not negative.
std::optional<int64_t> ParseBytes(std::string_view text);

// "1 partition", "3 partitions".
std::string FormatCount(int64_t count, std::string_view one);

// "17 B", "1.5 KiB", "3.2 GiB".
std::string FormatBytes(int64_t bytes);

// "7d", "1h30m", "500ms"; "forever" below 0.
std::string FormatMilliseconds(int64_t ms);

// RFC 3339 in UTC with milliseconds: "2024-01-01T00:00:00.000Z".
std::string FormatTimestamp(int64_t ms);

}  // namespace naru::cli
