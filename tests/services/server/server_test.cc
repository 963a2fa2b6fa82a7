// The whole server inside this process, over real disks and connections.
#include "services/server/server.h"

#include <gmock/gmock.h>

#include "tests/services/server/server_fixture.h"

namespace naru::services {
namespace {

using ::testing::HasSubstr;

TEST_F(ServerTest, WhatWasAckedIsThereAfterARestartInTheSameProcess) {
  auto server = Start();
  ASSERT_NE(server, nullptr);
  ASSERT_TRUE(CreateTopic(*server, "t").ok());
  ASSERT_TRUE(Produce(*server, "t", "one").ok());
  server->Shutdown(1'000);
  server.reset();
  server = Start();
  ASSERT_NE(server, nullptr);
  ASSERT_TRUE(Produce(*server, "t", "two").ok());
  EXPECT_THAT(Fetch(*server, "t"), ::testing::ElementsAre("one", "two"));
}

TEST_F(ServerTest, ShutDownTwiceIsAsGoodAsOnce) {
  auto server = Start();
  ASSERT_NE(server, nullptr);
  server->Shutdown(100);
  server->Shutdown(100);
  EXPECT_FALSE(CreateTopic(*server, "t").ok());
}

TEST_F(ServerTest, ASecondServerOnTheAddressFailsAndLeavesTheFirstAlone) {
  const auto first = Start();
  ASSERT_NE(first, nullptr);
  options_.data_dir = directory_ / "other";
  options_.listen = first->address().ToString();
  const auto second = Server::Start(options_, events_);
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(second.status().message(), HasSubstr("Address already in use"));
  EXPECT_TRUE(CreateTopic(*first, "t").ok());
}

TEST_F(ServerTest, AStartThatFailedLetsGoOfTheDirectory) {
  const std::string listen = options_.listen;
  options_.listen = "nowhere.invalid:1";
  ASSERT_FALSE(Server::Start(options_, events_).ok());
  options_.listen = listen;
  EXPECT_NE(Start(), nullptr);
}

TEST_F(ServerTest, CallsAreCountedByMethodAndOutcome) {
  CallMetrics metrics({"naru.v1.AdminService"});
  metrics.Find("/naru.v1.AdminService/CreateTopic").started = 2;
  metrics.Find("/naru.v1.AdminService/CreateTopic").finished[0] = 1;
  metrics.Find("/grpc.health.v1.Health/Watch").started = 1;
  EXPECT_EQ(metrics.InProgress(), 1) << "calls of other services do not count";
}

}  // namespace
}  // namespace naru::services
