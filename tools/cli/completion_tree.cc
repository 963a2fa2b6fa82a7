#include "tools/cli/completion_tree.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"

namespace naru::cli {
namespace {

// Values that an option of a command is nearly always given.
std::vector<std::string> UsualValues(const std::string& command, const std::string& option) {
  if (option == "output") return {"table", "json"};
  if (option == "acks") return {"none", "leader", "all"};
  if (option == "compression") return {"none", "gzip", "lz4", "zstd", "snappy"};
  if (option == "from" || option == "at" || option == "to") return {"earliest", "latest"};
  if (option == "start") return {"earliest", "latest", "fail"};
  if (option == "commit") return {"ack", "delivery"};
  if (option == "decode") return {"auto", "groups", "none"};
  if (option == "until") return {"end"};
  if (option == "format") {
    return command == "produce" ? std::vector<std::string>{"lines", "json"}
                                : std::vector<std::string>{"json"};
  }
  return {};
}

void AddOptions(const CLI::App& app, CompletionCommand& command) {
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional()) {
      command.takes_topic |= option->get_name() == "TOPIC";
      command.takes_group |= option->get_name() == "GROUP";
      continue;
    }
    for (const std::string& name : option->get_lnames()) {
      CompletionCommand::Choice choice{.option = absl::StrCat("--", name),
                                       .values = UsualValues(command.path, name)};
      choice.takes_value = option->get_expected_max() > 0;
      const bool known = std::any_of(command.options.begin(), command.options.end(),
                                     [&](const auto& other) { return other.option == choice.option; });
      if (!known) command.options.push_back(std::move(choice));
    }
  }
}

void Describe(const CLI::App& root, const CLI::App& app, const std::string& path,
              std::vector<CompletionCommand>& commands) {
  CompletionCommand command{.path = path};
  AddOptions(app, command);
  AddOptions(root, command);
  const auto children = app.get_subcommands([](const CLI::App*) { return true; });
  for (const CLI::App* child : children) command.subcommands.push_back(child->get_name());
  commands.push_back(std::move(command));
  for (const CLI::App* child : children) {
    Describe(root, *child, path.empty() ? child->get_name() : absl::StrCat(path, " ", child->get_name()),
             commands);
  }
}

}  // namespace

std::vector<CompletionCommand> DescribeCommands(const CLI::App& app) {
  std::vector<CompletionCommand> commands;
  Describe(app, app, "", commands);
  return commands;
}

}  // namespace naru::cli
