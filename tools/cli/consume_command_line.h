// `naru consume` on the command line: from positions that it names, or as a member of a group.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "tools/cli/arguments.h"
#include "tools/cli/command_builder.h"

namespace naru::cli {

// Holds what the options are parsed into, so it outlives the parsing and the command's run.
class ConsumeCommandLine {
 public:
  explicit ConsumeCommandLine(const CommandContext& context) : context_(context) {}
  void AddTo(CLI::App& app);

 private:
  // What both ways of reading take.
  void AddOutput(CLI::App* consume);
  void AddPositions(CLI::App* consume, CLI::Option* group);
  void AddMembership(CLI::App* consume, CLI::Option* group);
  int CheckAndConsume();
  int CheckAndJoin();

  const CommandContext context_;
  std::vector<std::string> topics_;
  ConsumeArguments positions_;
  GroupConsumeArguments member_;
  // Texts of options that are kept in another form.
  std::string format_, null_text_, from_, until_, max_records_, decode_, start_, commit_, until_idle_,
      session_timeout_;
};

}  // namespace naru::cli
