#include "services/rpc/parse_message.h"

#include <grpcpp/impl/codegen/proto_utils.h>

#include "storage/base/status.h"

namespace naru::services {

absl::Status ParseMessage(const grpc::ByteBuffer& buffer, google::protobuf::Message& message) {
  grpc::ByteBuffer consumed = buffer;
  if (grpc::SerializationTraits<google::protobuf::Message>::Deserialize(&consumed, &message).ok()) {
    return absl::OkStatus();
  }
  const std::string type(message.GetDescriptor()->name());
  return InvalidField(type, "bytes that do not parse",
                      "it must be a protobuf message of that type, strings in UTF-8");
}

}  // namespace naru::services
