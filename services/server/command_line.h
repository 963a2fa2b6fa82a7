// narud's command line: flags made from the option table, and the subcommand `salvage`.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "services/server/option_sources.h"

namespace naru::services {

struct CommandLine {
  enum class Action {
    kServe,
    kPrint,  // `text` to standard output, then exit 0: --help, --version, --print-config
    kSalvage,
  };
  Action action = Action::kServe;
  std::string text;
  ResolvedOptions resolved;
  // Of salvage.
  std::string salvage_from;
  std::string salvage_to;
};

// `arguments` without the program's name. INVALID_ARGUMENT for a usage error.
absl::StatusOr<CommandLine> ParseCommandLine(const std::vector<std::string>& arguments,
                                             const EnvironmentLookup& lookup);

}  // namespace naru::services
