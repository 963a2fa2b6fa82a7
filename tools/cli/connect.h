// What every command that talks to a server begins and ends with.
#pragma once

#include <google/protobuf/message.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "clients/cpp/client.h"
#include "tools/cli/arguments.h"
#include "tools/cli/failure.h"

namespace naru::cli {

// A client by the global arguments; does not connect yet.
absl::StatusOr<std::shared_ptr<client::Client>> MakeClient(const GlobalArguments& global);

// The JSON of a message as protobuf defines it, with the fields' own names and every field; ends with a
// newline. `one_line`: without other line ends.
std::string ToJson(const google::protobuf::Message& message, bool one_line = false);

// Writes to standard output. The exit code: a reader that has gone is no failure, a full disk is.
int Print(const std::string& text);

// Runs `command` with a new client's `Calls` (Admin, GroupAdmin) and prints the text it gives. The exit code.
template <typename Calls, typename Command>
int RunWith(const GlobalArguments& global, Command command) {
  auto client = MakeClient(global);
  if (!client.ok()) return Fail(client.status());
  Calls calls(*client);
  const absl::StatusOr<std::string> printed = command(calls);
  return printed.ok() ? Print(*printed) : Fail(printed.status());
}

}  // namespace naru::cli
