#include "services/server/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <variant>

#include "services/server/build_info.h"
#include "services/server/option_table.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::services {
namespace {

constexpr char kDescription[] =
    "narud, the naru event hub: a durable, partitioned log that is spoken to in gRPC.\n"
    "Without options it serves 127.0.0.1:9410 and keeps its data in ./naru-data.\n";
constexpr char kFooter[] =
    "\nOptions may also stand in the file named by --config (memory_limit: 2GiB) and in the environment\n"
    "(NARU_MEMORY_LIMIT=2GiB). Flags win over the file, the file over the environment.\n"
    "SIGTERM and SIGINT end it: calls in flight finish, everything is on disk, exit code 0. A second one "
    "ends it\n"
    "at once. Exit codes: 1, it could not start; 2, wrong usage.\n";
constexpr char kSalvageFooter[] =
    "\nNo narud may run on the damaged directory meanwhile. Its index is not read: what segments still hold "
    "and\n"
    "checks is copied, and the report on standard output says what is lost, a line each.\n"
    "Exit codes: 0, everything was saved; 3, saved, but something was lost; 1, nothing could be saved or the "
    "new\n"
    "directory is not complete; 2, wrong usage.\n"
    "Example: narud salvage --from ./naru-data --to ./saved && narud --data-dir ./saved\n";

void AddOptions(CLI::App& app, GivenValues& flags) {
  const ServerOptions defaults;
  for (const OptionSpec& spec : OptionTable()) {
    const std::string flag = spec.Flag();
    const std::string name(spec.name);
    const auto take = [&flags, name, flag](const std::string& text) { flags[name] = GivenValue{text, flag}; };
    const std::string standard = spec.Get(defaults);
    const bool any_text = std::holds_alternative<TextOption>(spec.type);
    const std::string allowed = any_text ? "" : absl::StrCat(" Allowed: ", spec.Allowed(), ".");
    const std::string help = absl::StrCat(
        spec.help, allowed,
        standard.empty() || name == "memory-limit" ? "" : absl::StrCat(" Default: ", standard, "."));
    CLI::Option* option = app.add_option_function<std::string>(flag, take, help);
    option->type_name(std::string(spec.TypeName()))->group(std::string(spec.group))->take_last();
  }
}

}  // namespace

absl::StatusOr<CommandLine> ParseCommandLine(const std::vector<std::string>& arguments,
                                             const EnvironmentLookup& lookup) {
  CommandLine command;
  GivenValues flags;
  bool version = false;
  bool print_config = false;
  CLI::App app(kDescription, "narud");
  app.footer(kFooter);
  app.get_formatter()->column_width(34);
  AddOptions(app, flags);
  app.add_flag("--version", version, "Print the version.");
  app.add_flag("--print-config", print_config,
               "Print all options as a configuration file, and where each came from.");
  CLI::App* salvage = app.add_subcommand(
      "salvage", "Copy every batch that still checks out of a damaged data directory into a new one.");
  salvage->footer(kSalvageFooter);
  salvage->add_option("--from", command.salvage_from, "The damaged data directory. It is not changed.")
      ->required()
      ->type_name("DIR");
  salvage->add_option("--to", command.salvage_to, "Where to make the new one. Must be empty or missing.")
      ->required()
      ->type_name("DIR");

  // CLI11 reports by exceptions, help included; none leaves this function.
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(std::move(reversed));
  } catch (const CLI::CallForHelp&) {
    command.action = CommandLine::Action::kPrint;
    command.text = (salvage->parsed() ? *salvage : app).help();
    return command;
  } catch (const CLI::ParseError& error) {
    return absl::InvalidArgumentError(absl::StrCat(error.what(), "; see narud --help"));
  }
  if (version) {
    command.action = CommandLine::Action::kPrint;
    command.text = absl::StrCat("narud ", kVersion, "\n");
    return command;
  }
  if (salvage->parsed()) {
    if (!flags.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--", flags.begin()->first, " has no meaning for salvage; see narud salvage --help"));
    }
    command.action = CommandLine::Action::kSalvage;
    return command;
  }
  NARU_ASSIGN_OR_RETURN(command.resolved, ResolveOptions(flags, lookup));
  if (print_config) {
    command.action = CommandLine::Action::kPrint;
    command.text = PrintConfig(command.resolved);
  }
  return command;
}

}  // namespace naru::services
