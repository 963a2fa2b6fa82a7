// One unary call of a raw method whose messages are small: the request is parsed here, so that bytes that do
// not parse fail as every other bad request does. (With typed methods gRPC answers them itself, with
// UNIMPLEMENTED and no reason.)
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>

#include "absl/status/status.h"
#include "services/rpc/parse_message.h"
#include "services/rpc/status.h"

namespace naru::services {

// Shared by whoever works on the call until Finish. Thread-compatible: one thread at a time.
template <typename Request, typename Response>
class MessageCall {
 public:
  // `context` and `bytes` are gRPC's and live until Finish.
  MessageCall(grpc::CallbackServerContext& context, grpc::ByteBuffer& bytes)
      : context_(context), bytes_(bytes), reactor_(context.DefaultReactor()) {}

  // INVALID_FIELD, naming the message's type.
  absl::Status Parse(const grpc::ByteBuffer& bytes) { return ParseMessage(bytes, request_); }

  const Request& request() const { return request_; }
  Response& response() { return response_; }
  grpc::ServerUnaryReactor* reactor() { return reactor_; }

  // Answers with response(), or with the error. Once.
  void Finish(const absl::Status& status) {
    if (!status.ok()) return reactor_->Finish(ToGrpcStatus(status, context_));
    bool own_buffer = false;
    reactor_->Finish(grpc::SerializationTraits<Response>::Serialize(response_, &bytes_, &own_buffer));
  }

 private:
  grpc::CallbackServerContext& context_;
  grpc::ByteBuffer& bytes_;
  grpc::ServerUnaryReactor* const reactor_;
  Request request_;
  Response response_;
};

}  // namespace naru::services
