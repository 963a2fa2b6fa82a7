// A request of the raw services as its generated message, for requests that carry no bulk.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>

#include "absl/status/status.h"

namespace naru::services {

// INVALID_FIELD, naming the message's type, when the bytes are no such message.
absl::Status ParseMessage(const grpc::ByteBuffer& buffer, google::protobuf::Message& message);

}  // namespace naru::services
