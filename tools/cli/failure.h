// How a command ends when it fails: one line on standard error and an exit code.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace naru::cli {

// Documented in `naru --help`.
enum ExitCode : int {
  kExitOk = 0,
  kExitFailed = 1,
  kExitUsage = 2,        // the command line, or input that it names, is wrong
  kExitNotFound = 3,     // no such topic, partition or group
  kExitUnavailable = 4,  // no server, timed out, or the server cannot now
  kExitInterrupted = 130,
};

ExitCode ExitCodeOf(const absl::Status& status);

// "naru: message (REASON); what to do". One line.
std::string FailureLine(const absl::Status& status);

// Prints FailureLine and gives ExitCodeOf.
ExitCode Fail(const absl::Status& status);

}  // namespace naru::cli
