#include <cstdlib>

#include "tools/cli/command_line.h"

int main(int argc, char** argv) {
  // gRPC's own log goes to standard error, which is for one clear line.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  return naru::cli::RunCommandLine(argc, argv);
}
