// What every command that talks to a server begins and ends with.
#pragma once

#include <google/protobuf/message.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "clients/cpp/client.h"
#include "tools/cli/arguments.h"

namespace naru::cli {

// A client by the global arguments; does not connect yet.
absl::StatusOr<std::shared_ptr<client::Client>> MakeClient(const GlobalArguments& global);

// The JSON of a message as protobuf defines it, with the fields' own names and every field; ends with a
// newline.
std::string ToJson(const google::protobuf::Message& message);

// Writes to standard output. The exit code: a reader that has gone is no failure, a full disk is.
int Print(const std::string& text);

}  // namespace naru::cli
