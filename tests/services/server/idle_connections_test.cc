// What becomes of connections that nobody makes a call on.
#include "naru/v1/cluster.grpc.pb.h"
#include "tests/services/server/server_fixture.h"

namespace naru::services {
namespace {

// Whether the connection was closed; waits for it.
bool IsClosed(grpc::Channel& channel) {
  const auto deadline = std::chrono::system_clock::now() + std::chrono::seconds(30);
  return channel.GetState(false) != GRPC_CHANNEL_READY ||
         channel.WaitForStateChange(GRPC_CHANNEL_READY, deadline);
}

TEST_F(ServerTest, AConnectionWithoutACallIsClosedAndOneWithACallIsNot) {
  options_.idle_connection_timeout_ms = 100;
  const auto server = Start();
  ASSERT_NE(server, nullptr);
  const auto busy = Connect(*server);
  const auto context = Context();
  const auto watch = naru::v1::ClusterService::NewStub(busy)->WatchMetadata(context.get(), {});
  naru::v1::WatchMetadataResponse seen;
  ASSERT_TRUE(watch->Read(&seen));

  const auto idle = Connect(*server);
  // Each round lasts as long as a connection may be without a call.
  for (int round = 0; round < 5; ++round) {
    naru::v1::GetMetadataResponse response;
    const grpc::Status status =
        naru::v1::ClusterService::NewStub(idle)->GetMetadata(Context().get(), {}, &response);
    ASSERT_TRUE(status.ok()) << "round " << round << ": " << status.error_message();
    ASSERT_TRUE(IsClosed(*idle)) << "round " << round;
  }
  EXPECT_EQ(busy->GetState(false), GRPC_CHANNEL_READY);
  ASSERT_TRUE(CreateTopic(*server, "t").ok());
  EXPECT_TRUE(watch->Read(&seen)) << watch->Finish().error_message();
  context->TryCancel();
}

TEST_F(ServerTest, AConnectionThatNeverMadeACallIsClosedToo) {
  options_.idle_connection_timeout_ms = 100;
  const auto server = Start();
  ASSERT_NE(server, nullptr);
  const auto channel = Connect(*server);
  ASSERT_TRUE(channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(30)));
  EXPECT_TRUE(IsClosed(*channel));
}

}  // namespace
}  // namespace naru::services
