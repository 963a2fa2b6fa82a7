// What the commands of `naru` are put together from on CLI11: how a command is added, and the forms that
// values of options may have.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <string>

#include "tools/cli/arguments.h"
#include "tools/cli/offset_spec.h"

namespace naru::cli {

// Shared by the commands of one command line, which outlives them.
struct CommandContext {
  const GlobalArguments& global;
  // Set by parsing: does what the command named asks for, and gives the exit code.
  std::function<int()>& run;
};

// A command below `parent`. `examples`: lines for its help. `run` null: it has commands of its own.
CLI::App* AddCommand(CLI::App& parent, const CommandContext& context, const std::string& name,
                     const std::string& description, const std::string& examples, std::function<int()> run);
CLI::Option* AddTopicName(CLI::App& command, std::string& topic);

// The form of an option's value; `allowed` begins as "a duration such as 10s is".
CLI::Validator Check(const std::string& allowed, std::function<bool(const std::string&)> is_allowed);
CLI::Validator DurationCheck();
CLI::Validator PositiveDurationCheck();
CLI::Validator IntegerCheck(int64_t low, int64_t high);
CLI::Validator OffsetSpecCheck();
// Of a text that passed OffsetSpecCheck.
OffsetSpec ToOffsetSpec(const std::string& text);

}  // namespace naru::cli
