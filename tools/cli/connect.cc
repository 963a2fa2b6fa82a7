#include "tools/cli/connect.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "tools/cli/failure.h"
#include "tools/cli/terminal.h"

namespace naru::cli {

absl::StatusOr<std::shared_ptr<client::Client>> MakeClient(const GlobalArguments& global) {
  client::ClientOptions options;
  options.servers = global.servers;
  options.call_timeout = global.timeout;
  // A server that restarts is waited for, one that is not there is not waited for long.
  options.connect_timeout = std::min(global.timeout, absl::Seconds(3));
  return client::Client::Create(std::move(options));
}

std::string ToJson(const google::protobuf::Message& message, bool one_line) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = !one_line;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  if (!status.ok()) return "{}\n";
  if (!json.ends_with('\n')) json += '\n';
  return json;
}

int Print(const std::string& text) {
  Output output;
  output.Write(text);
  output.Flush();
  if (output.error() == 0) return kExitOk;
  return Fail(absl::DataLossError(absl::StrCat("standard output: ", std::strerror(output.error()))));
}

}  // namespace naru::cli
