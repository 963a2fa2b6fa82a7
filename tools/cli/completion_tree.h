// The command line as completion wants it.
#pragma once

#include <CLI/App.hpp>
#include <vector>

#include "tools/cli/completion.h"

namespace naru::cli {

// `app` and every command below it, each with its own options and those of `app`.
std::vector<CompletionCommand> DescribeCommands(const CLI::App& app);

}  // namespace naru::cli
