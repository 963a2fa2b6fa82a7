// Reads narud's options from where they may stand. Flags win over the configuration file, the file over the
// environment, the environment over the defaults. A value that is not allowed is refused wherever it stands,
// also where another source would win.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/server/options.h"

namespace naru::services {

// A value as it was written, and where: "--listen", "narud.yaml:3", "NARU_LISTEN".
struct GivenValue {
  std::string text;
  std::string origin;
};
// By option name.
using GivenValues = std::map<std::string, GivenValue, std::less<>>;
// A variable's value, or nothing.
using EnvironmentLookup = std::function<std::optional<std::string>(const std::string& name)>;

GivenValues ReadEnvironment(const EnvironmentLookup& lookup);
// A flat YAML map from keys to scalars. `origin` names it in errors. INVALID_ARGUMENT for what is not such a
// map, and for unknown and repeated keys.
absl::StatusOr<GivenValues> ParseConfigFile(const std::string& contents, const std::string& origin);
// Reads at most 1 MiB.
absl::StatusOr<GivenValues> ReadConfigFile(const std::string& path);

struct ResolvedOptions {
  ServerOptions options;
  // By option name, where its value came from; without those that have their default.
  std::map<std::string, std::string, std::less<>> origins;
};

// Reads the other sources and puts all together. INVALID_ARGUMENT names option, value, origin and what is
// allowed.
absl::StatusOr<ResolvedOptions> ResolveOptions(const GivenValues& flags, const EnvironmentLookup& lookup);

// A configuration file that has the same effect, each value with where it came from.
std::string PrintConfig(const ResolvedOptions& resolved);

}  // namespace naru::services
