#include "tools/cli/quantity.h"

#include <charconv>
#include <cstdio>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "storage/base/strings.h"

namespace naru::cli {
namespace {

struct Unit {
  std::string_view name;  // lower case
  int64_t factor;
};

constexpr Unit kByteUnits[] = {{"", 1},
                               {"b", 1},
                               {"k", 1 << 10},
                               {"kib", 1 << 10},
                               {"kb", 1'000},
                               {"m", 1 << 20},
                               {"mib", 1 << 20},
                               {"mb", 1'000'000},
                               {"g", 1 << 30},
                               {"gib", 1 << 30},
                               {"gb", 1'000'000'000},
                               {"t", int64_t{1} << 40},
                               {"tib", int64_t{1} << 40},
                               {"tb", 1'000'000'000'000}};

}  // namespace

std::optional<int64_t> ParseInteger(std::string_view text, int64_t low, int64_t high) {
  int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || error != std::errc() || stop != end || value < low || value > high) return std::nullopt;
  return value;
}

std::optional<absl::Duration> ParseDuration(std::string_view text) {
  if (const auto seconds = ParseInteger(text, 0, std::numeric_limits<int32_t>::max())) {
    return absl::Seconds(*seconds);
  }
  if (text.size() >= 2 && (text.back() == 'd' || text.back() == 'w')) {
    const auto count = ParseInteger(text.substr(0, text.size() - 1), 0, 1'000'000);
    if (count) return absl::Hours(24) * *count * (text.back() == 'w' ? 7 : 1);
    return std::nullopt;
  }
  absl::Duration parsed;
  if (!absl::ParseDuration(absl::string_view(text.data(), text.size()), &parsed)) return std::nullopt;
  if (parsed < absl::ZeroDuration() || parsed == absl::InfiniteDuration()) return std::nullopt;
  return parsed;
}

std::optional<int64_t> ParseBytes(std::string_view text) {
  size_t digits = 0;
  while (digits < text.size() && absl::ascii_isdigit(static_cast<unsigned char>(text[digits]))) ++digits;
  const auto count = ParseInteger(text.substr(0, digits), 0, std::numeric_limits<int64_t>::max());
  if (!count) return std::nullopt;
  std::string_view rest = text.substr(digits);
  while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
  const std::string name = absl::AsciiStrToLower(std::string(rest));
  for (const Unit& unit : kByteUnits) {
    if (unit.name != name) continue;
    if (*count > std::numeric_limits<int64_t>::max() / unit.factor) return std::nullopt;
    return *count * unit.factor;
  }
  return std::nullopt;
}

std::string FormatCount(int64_t count, std::string_view one) {
  return absl::StrCat(count, " ", Absl(one), count == 1 ? "" : "s");
}

std::string FormatBytes(int64_t bytes) {
  if (bytes < 1024) return absl::StrCat(bytes, " B");
  double amount = static_cast<double>(bytes);
  const char* unit = "B";
  for (const char* next : {"KiB", "MiB", "GiB", "TiB", "PiB"}) {
    if (amount < 1024) break;
    amount /= 1024;
    unit = next;
  }
  return absl::StrFormat("%.1f %s", amount, unit);
}

std::string FormatMilliseconds(int64_t ms) {
  if (ms < 0) return "forever";
  if (ms > 0 && ms % 86'400'000 == 0) return absl::StrCat(ms / 86'400'000, "d");
  return absl::FormatDuration(absl::Milliseconds(ms));
}

std::string FormatTimestamp(int64_t ms) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromUnixMillis(ms), absl::UTCTimeZone());
}

}  // namespace naru::cli
