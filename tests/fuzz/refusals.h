// What every refusal owes to the client, whatever the request was.
#pragma once

#include "absl/status/status.h"
#include "naru/v1/types.pb.h"
#include "services/rpc/status.h"
#include "storage/base/check.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru {

// A reason the request can be blamed for, a message that begins with the field where it is one field's fault,
// and an error that a client's parser takes.
inline void CheckRefusal(const absl::Status& status) {
  const std::optional<Reason> reason = ReasonOf(status);
  NARU_CHECK(reason.has_value());
  NARU_CHECK(*reason != Reason::kInternal && *reason != Reason::kCorruptData);
  NARU_CHECK(status.code() == CanonicalCode(*reason) && !status.message().empty());
  if (*reason == Reason::kInvalidField) {
    const std::string field = MetadataValue(status, "field");
    NARU_CHECK(!field.empty() && !MetadataValue(status, "value").empty());
    NARU_CHECK(Std(status.message()).starts_with(field + ": "));
  }
  const naru::v1::Error error = services::ToError(status);
  naru::v1::Error received;
  NARU_CHECK(received.ParseFromString(error.SerializeAsString()));
  NARU_CHECK(received.reason() == ReasonName(*reason) && !received.message().empty());
}

}  // namespace naru
