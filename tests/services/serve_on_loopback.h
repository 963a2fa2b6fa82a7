// A server of one gRPC service. For tests.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"

namespace naru::testing {

// On a loopback port of its own, which `target` then names; null: it could not be started.
inline std::unique_ptr<grpc::Server> ServeOnLoopback(grpc::Service& service, std::string& target) {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  target = absl::StrCat("127.0.0.1:", port);
  return server;
}

}  // namespace naru::testing
