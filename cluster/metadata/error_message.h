// Errors between brokers and coordinators as messages, and back, with reason and metadata. Pure, thread-safe.
#pragma once

#include "absl/status/status.h"
#include "naru/v1/types.pb.h"

namespace naru::cluster {

naru::v1::Error ToErrorMessage(const absl::Status& status);
// Of a reason that this program does not know: INTERNAL, with the message.
absl::Status FromErrorMessage(const naru::v1::Error& error);

}  // namespace naru::cluster
