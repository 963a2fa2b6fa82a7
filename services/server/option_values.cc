#include "services/server/option_values.h"

#include <array>
#include <charconv>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "storage/base/strings.h"

namespace naru::services {
namespace {

struct Unit {
  std::string_view name;
  int64_t factor;
};

constexpr std::array kSizeUnits = {
    Unit{"TiB", int64_t{1} << 40},
    Unit{"GiB", int64_t{1} << 30},
    Unit{"MiB", int64_t{1} << 20},
    Unit{"KiB", int64_t{1} << 10},
    Unit{"TB", 1'000'000'000'000},
    Unit{"GB", 1'000'000'000},
    Unit{"MB", 1'000'000},
    Unit{"kB", 1'000},
    Unit{"B", 1},
};

constexpr std::array kDurationUnits = {
    Unit{"d", 86'400'000}, Unit{"h", 3'600'000}, Unit{"ms", 1}, Unit{"m", 60'000}, Unit{"s", 1'000},
};

// The digits at the front of `text`, which they are taken from; -1 when there are none or too many.
int64_t TakeNumber(std::string_view* text) {
  int64_t number = -1;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc() || number < 0 || text->front() == '-') return -1;
  text->remove_prefix(static_cast<size_t>(end - text->data()));
  return number;
}

template <size_t kCount>
absl::StatusOr<int64_t> ParseWithUnit(std::string_view text, const std::array<Unit, kCount>& units,
                                      bool unit_required, std::string_view expected) {
  const auto refused = [expected] { return absl::InvalidArgumentError(Absl(expected)); };
  std::string_view rest = Std(absl::StripAsciiWhitespace(Absl(text)));
  if (rest.empty()) return refused();
  const int64_t number = TakeNumber(&rest);
  if (number < 0) return refused();
  rest = Std(absl::StripLeadingAsciiWhitespace(Absl(rest)));
  if (rest.empty() && (!unit_required || number == 0)) return number;
  for (const Unit& unit : units) {
    if (!absl::EqualsIgnoreCase(Absl(rest), Absl(unit.name))) continue;
    if (number > std::numeric_limits<int64_t>::max() / unit.factor) return refused();
    return number * unit.factor;
  }
  return refused();
}

}  // namespace

absl::StatusOr<int64_t> ParseSize(std::string_view text) {
  return ParseWithUnit(text, kSizeUnits, /*unit_required=*/false,
                       "a size such as 65536, 64KiB, 16MiB or 1GiB");
}

std::string FormatSize(int64_t bytes) {
  for (const Unit& unit : kSizeUnits) {
    const bool binary = unit.name.ends_with("iB");
    if (binary && bytes >= unit.factor && bytes % unit.factor == 0) {
      return absl::StrCat(bytes / unit.factor, unit.name);
    }
  }
  return absl::StrCat(bytes);
}

absl::StatusOr<int64_t> ParseDuration(std::string_view text) {
  return ParseWithUnit(text, kDurationUnits, /*unit_required=*/true,
                       "a duration such as 100ms, 5s, 10m, 2h or 7d");
}

std::string FormatDuration(int64_t ms) {
  for (const Unit& unit : kDurationUnits) {
    if (unit.factor == 1) continue;
    if (ms >= unit.factor && ms % unit.factor == 0) return absl::StrCat(ms / unit.factor, unit.name);
  }
  return absl::StrCat(ms, "ms");
}

absl::StatusOr<int64_t> ParseCount(std::string_view text) {
  std::string_view rest = Std(absl::StripAsciiWhitespace(Absl(text)));
  const int64_t number = rest.empty() ? -1 : TakeNumber(&rest);
  if (number < 0 || !rest.empty()) return absl::InvalidArgumentError("a whole number");
  return number;
}

absl::StatusOr<double> ParseShare(std::string_view text) {
  double number = 0;
  if (!absl::SimpleAtod(Absl(text), &number) || !(number >= 0)) {
    return absl::InvalidArgumentError("a number such as 0.34");
  }
  return number;
}

std::string HostPort::ToString() const {
  return host.find(':') != std::string::npos ? absl::StrCat("[", host, "]:", port)
                                             : absl::StrCat(host, ":", port);
}

absl::StatusOr<HostPort> ParseHostPort(std::string_view text) {
  const auto refused = [] {
    return absl::InvalidArgumentError(
        "HOST:PORT such as 127.0.0.1:9410 or [::1]:9410, with a port from 0 to 65535");
  };
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return refused();
  std::string_view host = text.substr(0, colon);
  std::string_view port_text = text.substr(colon + 1);
  if (host.starts_with('[')) {
    if (!host.ends_with(']')) return refused();
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return refused();
  }
  const absl::StatusOr<int64_t> port = ParseCount(port_text);
  if (host.empty() || !port.ok() || *port > 65'535) return refused();
  for (const char c : host) {
    if (!absl::ascii_isgraph(static_cast<unsigned char>(c)) || c == '/') return refused();
  }
  return HostPort{std::string(host), static_cast<int>(*port)};
}

}  // namespace naru::services
