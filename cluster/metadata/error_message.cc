#include "cluster/metadata/error_message.h"

#include <algorithm>
#include <string>

#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::cluster {

naru::v1::Error ToErrorMessage(const absl::Status& status) {
  naru::v1::Error error;
  error.set_code(static_cast<int>(status.code()));
  error.set_reason(std::string(ReasonName(ReasonOf(status).value_or(Reason::kInternal))));
  error.set_message(std::string(Std(status.message())));
  for (const auto& [key, value] : MetadataOf(status)) (*error.mutable_metadata())[key] = value;
  return error;
}

absl::Status FromErrorMessage(const naru::v1::Error& error) {
  ErrorMetadata metadata(error.metadata().begin(), error.metadata().end());
  std::sort(metadata.begin(), metadata.end());
  return MakeError(ReasonFromName(error.reason()).value_or(Reason::kInternal), error.message(), metadata);
}

}  // namespace naru::cluster
