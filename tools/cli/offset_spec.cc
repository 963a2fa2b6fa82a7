#include "tools/cli/offset_spec.h"

#include <limits>
#include <string>

#include "storage/base/status.h"
#include "tools/cli/quantity.h"

namespace naru::cli {
namespace {

OffsetSpec AtTime(absl::Time time) {
  return {.kind = OffsetSpec::Kind::kTime, .timestamp_ms = absl::ToUnixMillis(time)};
}

}  // namespace

absl::StatusOr<OffsetSpec> ParseOffsetSpec(std::string_view text, absl::Time now) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  if (text == "earliest") return OffsetSpec{.kind = OffsetSpec::Kind::kEarliest};
  if (text == "latest" || text == "end") return OffsetSpec{.kind = OffsetSpec::Kind::kLatest};
  if (const auto offset = ParseInteger(text, 0, kMax)) {
    return OffsetSpec{.kind = OffsetSpec::Kind::kOffset, .offset = *offset};
  }
  if (text.starts_with('@')) {
    if (const auto ms = ParseInteger(text.substr(1), 0, kMax)) {
      return OffsetSpec{.kind = OffsetSpec::Kind::kTime, .timestamp_ms = *ms};
    }
  } else if (text.starts_with('-')) {
    // A bare number behind the minus is refused: "-1" is more often an offset gone wrong than a second ago.
    const auto ago = ParseDuration(text.substr(1));
    if (ago && !ParseInteger(text, std::numeric_limits<int64_t>::min(), 0)) return AtTime(now - *ago);
  } else {
    for (const char* format : {"%Y-%m-%dT%H:%M:%E*S%Ez", "%Y-%m-%dT%H:%M:%E*S", "%Y-%m-%d %H:%M:%E*S",
                               "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d"}) {
      absl::Time time;
      if (absl::ParseTime(format, std::string(text), &time, nullptr) && time >= absl::UnixEpoch() &&
          time < absl::InfiniteFuture()) {
        return AtTime(time);
      }
    }
  }
  return InvalidField("offset or time", text, kOffsetSpecForms);
}

}  // namespace naru::cli
