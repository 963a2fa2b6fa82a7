// The command line of `naru`: its commands, options, help and checks of form.
#pragma once

namespace naru::cli {

// Parses the arguments, runs the command they name, and gives the exit code of the process. Wrong arguments
// are told in one line on standard error and give kExitUsage.
int RunCommandLine(int argc, char** argv);

}  // namespace naru::cli
