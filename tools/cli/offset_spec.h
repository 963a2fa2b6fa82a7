// A place in a partition as people write it: earliest, latest, an offset, or a time. Pure, thread-safe.
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace naru::cli {

struct OffsetSpec {
  enum class Kind { kEarliest, kLatest, kOffset, kTime };
  Kind kind = Kind::kEarliest;
  int64_t offset = 0;        // kOffset
  int64_t timestamp_ms = 0;  // kTime

  friend bool operator==(const OffsetSpec&, const OffsetSpec&) = default;
};

// What ParseOffsetSpec takes, for help and errors.
inline constexpr std::string_view kOffsetSpecForms =
    "earliest, latest (or end), an offset, a time (2024-01-01, 2024-01-01T12:00:00Z; UTC without a zone), a "
    "time ago "
    "(-1h, -7d) or milliseconds since the epoch (@1704067200000)";

// INVALID_ARGUMENT naming the text and the forms above.
absl::StatusOr<OffsetSpec> ParseOffsetSpec(std::string_view text, absl::Time now);

}  // namespace naru::cli
