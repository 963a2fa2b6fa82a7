// One unary call of a service, for the classes that put a service's calls into methods.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>

#include "absl/status/statusor.h"
#include "clients/cpp/client.h"
#include "storage/base/status.h"

namespace naru::client {

// Client::Call of `method`, which is one of Service::Stub.
template <typename Service, typename Request, typename Response>
absl::StatusOr<Response> CallUnary(Client& client, CallKind kind, const Request& request,
                                   grpc::Status (Service::Stub::*method)(grpc::ClientContext*, const Request&,
                                                                         Response*)) {
  Response response;
  NARU_RETURN_IF_ERROR(
      client.Call(kind, [&](const std::shared_ptr<grpc::Channel>& channel, grpc::ClientContext* context) {
        return (Service::NewStub(channel).get()->*method)(context, request, &response);
      }));
  return response;
}

}  // namespace naru::client
