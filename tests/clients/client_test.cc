#include "clients/cpp/client.h"

#include <gtest/gtest.h>

#include "clients/cpp/errors.h"
#include "naru/v1/cluster.grpc.pb.h"
#include "storage/base/status.h"
#include "tests/clients/fake_hub.h"

namespace naru::client {
namespace {

using testing::FakeHub;

TEST(ClientOptions, AServerThatIsNotHostAndPortIsNamed) {
  for (const char* server : {"", "host", ":9410", "host:", "host:0", "host:70000", "host:12x"}) {
    const auto status = Client::Create({.servers = {server}}).status();
    EXPECT_EQ(MetadataValue(status, "field"), "servers") << server;
  }
  EXPECT_TRUE(Client::Create({.servers = {"hub:9410", "[::1]:9410"}}).ok());
  EXPECT_EQ(MetadataValue(Client::Create({.servers = {}}).status(), "field"), "servers");
}

TEST(Client, OneReachableServerOfTheListIsEnough) {
  FakeHub hub;
  hub.AddTopic("t", 4);
  auto client = *Client::Create({.servers = {"127.0.0.1:1", hub.address()}});
  auto topic = client->Topic("t");
  ASSERT_TRUE(topic.ok()) << topic.status();
  EXPECT_EQ((*topic)->partitions.size(), 4u);
  EXPECT_EQ((*topic)->partitions[0].address, hub.address());
}

TEST(Client, WhatIsKnownOfATopicIsAskedForAgainOnlyWhenItIsOld) {
  FakeHub hub;
  hub.AddTopic("t", 1);
  auto client = *Client::Create({.servers = {hub.address()}});
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(client->Topic("t").ok());
  EXPECT_EQ(hub.metadata_calls(), 1);
  hub.AddTopic("t", 2);
  EXPECT_EQ((*client->RefreshTopic("t"))->partitions.size(), 2u);
  EXPECT_EQ((*client->Topic("t"))->partitions.size(), 2u);

  auto forgetful = *Client::Create({.servers = {hub.address()}, .metadata_age_max = absl::Nanoseconds(1)});
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(forgetful->Topic("t").ok());
  EXPECT_EQ(hub.metadata_calls(), 5);
}

TEST(Client, AWriteIsRepeatedOnlyWhenTheReasonSaysThatNothingWasDone) {
  FakeHub hub;
  ClientOptions options{.servers = {hub.address()}};
  options.backoff = {.initial = absl::Milliseconds(1), .max = absl::Milliseconds(1)};
  auto client = *Client::Create(options);
  int calls = 0;
  const auto fail_twice = [&calls](const grpc::Status& status) {
    calls = 0;
    return [&calls, status](const std::shared_ptr<grpc::Channel>&, grpc::ClientContext*) {
      return ++calls <= 2 ? status : grpc::Status::OK;
    };
  };
  const grpc::Status lost(grpc::StatusCode::UNAVAILABLE, "socket closed");
  EXPECT_TRUE(IsOutcomeUnknown(client->Call(CallKind::kWrite, fail_twice(lost))));
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(client->Call(CallKind::kRead, fail_twice(lost)).ok());
  EXPECT_EQ(calls, 3);
  const grpc::Status refused(grpc::StatusCode::INVALID_ARGUMENT, "no");
  EXPECT_FALSE(client->Call(CallKind::kRead, fail_twice(refused)).ok());
  EXPECT_EQ(calls, 1);
}

TEST(Client, AConnectionThatIsClosedForWantOfCallsIsMadeAgainUnseen) {
  FakeHub hub(/*idle_connection_timeout_ms=*/50);
  hub.AddTopic("t", 1);
  auto client = *Client::Create({.servers = {hub.address()}});
  int writes = 0;
  for (int round = 0; round < 4; ++round) {
    const auto channel = client->ConnectedChannel(absl::InfiniteFuture());
    ASSERT_TRUE(channel.ok()) << channel.status();
    const auto deadline = std::chrono::system_clock::now() + std::chrono::seconds(30);
    ASSERT_TRUE((*channel)->WaitForStateChange(GRPC_CHANNEL_READY, deadline)) << round;
    // Reads would be repeated after an error; a write shows that there was none.
    const absl::Status status = client->Call(
        CallKind::kWrite, [&writes](const std::shared_ptr<grpc::Channel>& to, grpc::ClientContext* context) {
          ++writes;
          naru::v1::GetMetadataResponse response;
          return naru::v1::ClusterService::NewStub(to)->GetMetadata(context, {}, &response);
        });
    ASSERT_TRUE(status.ok()) << status;
  }
  EXPECT_EQ(writes, 4);
}

TEST(Client, WithoutAServerACallFailsWithinConnectTimeout) {
  auto client = *Client::Create({.servers = {"127.0.0.1:1"}, .connect_timeout = absl::Milliseconds(50)});
  const absl::Status status = client->Topic("t").status();
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_NE(status.message().find("127.0.0.1:1"), absl::string_view::npos);
}

TEST(Client, AnUnreachableLeaderIsReplacedByAServerThatPassesOn) {
  auto client = *Client::Create({.servers = {"127.0.0.1:7"}});
  const PartitionRoute route{BrokerId(1), LeaderEpoch(0), "127.0.0.1:8"};
  EXPECT_EQ(client->AddressFor(route), "127.0.0.1:8");
  client->MarkUnreachable("127.0.0.1:8");
  EXPECT_EQ(client->AddressFor(route), "127.0.0.1:7");
  EXPECT_EQ(client->AddressFor({}), "127.0.0.1:7");
}

}  // namespace
}  // namespace naru::client
