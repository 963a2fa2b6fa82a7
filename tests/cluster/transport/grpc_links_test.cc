#include "cluster/transport/grpc_links.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/synchronization/notification.h"
#include "naru/internal/v1/peer.grpc.pb.h"
#include "tests/services/serve_on_loopback.h"

namespace naru::cluster {
namespace {

namespace v1 = naru::internal::v1;

// A broker that ends every stream at once.
class Curt final : public v1::PeerService::CallbackService {
 public:
  grpc::ServerBidiReactor<v1::GroupsRequest, v1::GroupsResponse>* Groups(
      grpc::CallbackServerContext* context) override {
    class Reactor final : public grpc::ServerBidiReactor<v1::GroupsRequest, v1::GroupsResponse> {
     public:
      Reactor() { Finish(grpc::Status::OK); }
      void OnDone() override { delete this; }
    };
    return new Reactor;
  }
};

TEST(GrpcLinks, WhatIsSentOnceAStreamHasEndedGoesNowhere) {
  Curt service;
  std::string target;
  const std::unique_ptr<grpc::Server> server = testing::ServeOnLoopback(service, target);
  ASSERT_NE(server, nullptr);
  GrpcLinks links;
  for (int round = 0; round < 50; ++round) {
    absl::Notification broken;
    const auto link = links.Groups(target, {.message = [](const v1::GroupsResponse&) {},
                                            .broken = [&](const absl::Status&) { broken.Notify(); }});
    broken.WaitForNotification();
    v1::GroupsRequest request;
    request.set_id(1);
    link->Send(std::move(request));
    EXPECT_EQ(link->queued_bytes(), 0) << "gRPC is done with the call: a write would be one of nothing";
  }
}

}  // namespace
}  // namespace naru::cluster
