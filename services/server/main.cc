// narud: parses its options, serves until SIGTERM or SIGINT, and says in one line why when it cannot.
#include <stdlib.h>
#include <sys/resource.h>

#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "services/server/allocator.h"
#include "services/server/command_line.h"
#include "services/server/event_logger.h"
#include "services/server/option_values.h"
#include "services/server/salvage_command.h"
#include "services/server/server.h"
#include "services/server/signal_watch.h"

// What jemalloc reads when it starts. Few arenas and quick decay keep free pages, which nobody counts, few.
extern "C" {
const char* malloc_conf = "narenas:4,dirty_decay_ms:1000,muzzy_decay_ms:0,background_thread:true";
}

namespace naru::services {
namespace {

constexpr int kStartFailed = 1;
constexpr int kWrongUsage = 2;
constexpr int kSalvagedWithLoss = 3;

// A connection is a file, and so is a segment: as many as the system grants.
void RaiseOpenFileLimit() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

std::optional<std::string> Environment(const std::string& name) {
  const char* value = getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return value;
}

int Fail(const absl::Status& status) {
  std::cerr << "narud: " << std::string(status.message()) << std::endl;
  return status.code() == absl::StatusCode::kInvalidArgument ? kWrongUsage : kStartFailed;
}

bool TakesFreePort(const std::string& address) {
  const absl::StatusOr<HostPort> parsed = ParseHostPort(address);
  return parsed.ok() && parsed->port == 0;  // not ok: "off"
}

// Whoever left the choice of a port to the system learns here which it is, whatever the log shows.
void PrintAddresses(const ServerOptions& options, const Server& server) {
  if (TakesFreePort(options.listen) || TakesFreePort(options.http)) {
    std::cout << server.AddressLines() << std::flush;
  }
}

int Serve(const ServerOptions& options) {
  TuneAllocator();
  // Distributions build abseil with its search for lock cycles, which costs every lock, gRPC's too.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  RaiseOpenFileLimit();
  SignalWatch signals;
  EventLogger events(options.log_format, options.log_level);
  SendLibraryLogsTo(&events);
  int exit_code = 0;
  {
    absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(options, events);
    if (!server.ok()) {
      exit_code = Fail(server.status());
    } else {
      PrintAddresses(options, **server);
      const int signal = signals.Wait();
      events.Write(Severity::kInfo, "stopping",
                   {{"signal", signal}, {"drain_timeout_ms", options.drain_timeout_ms}});
      (*server)->Shutdown(options.drain_timeout_ms);
      events.Write(Severity::kInfo, "stopped", {});
    }
  }
  SendLibraryLogsTo(nullptr);
  return exit_code;
}

int Run(const std::vector<std::string>& arguments) {
  const absl::StatusOr<CommandLine> command = ParseCommandLine(arguments, Environment);
  if (!command.ok()) return Fail(command.status());
  switch (command->action) {
    case CommandLine::Action::kPrint:
      std::cout << command->text << std::flush;
      return 0;
    case CommandLine::Action::kSalvage: {
      EventLogger events(LogFormat::kText, Severity::kInfo);
      const absl::StatusOr<SalvageOutcome> outcome =
          RunSalvage(command->salvage_from, command->salvage_to, PosixFileSystem(), events, std::cout);
      if (!outcome.ok()) return Fail(outcome.status());
      return *outcome == SalvageOutcome::kEverythingSaved ? 0 : kSalvagedWithLoss;
    }
    case CommandLine::Action::kServe:
      break;
  }
  return Serve(command->resolved.options);
}

}  // namespace
}  // namespace naru::services

int main(int argc, char** argv) { return naru::services::Run({argv + 1, argv + argc}); }
