// The whole server inside this process, over real disks and connections.
#include "services/server/server.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>

#include "naru/v1/admin.grpc.pb.h"
#include "naru/v1/consume.grpc.pb.h"
#include "naru/v1/produce.grpc.pb.h"

namespace naru::services {
namespace {

using ::testing::HasSubstr;

class ServerTest : public ::testing::Test {
 protected:
  ServerTest() {
    std::string name = (std::filesystem::temp_directory_path() / "naru-server-XXXXXX").string();
    directory_ = mkdtemp(name.data());
    options_.data_dir = directory_ / "data";
    options_.listen = "127.0.0.1:0";
    options_.http = "127.0.0.1:0";
    options_.store.segment_bytes = 4 << 20;
    options_.store.disk_reserve_bytes = 0;
  }
  ~ServerTest() override { std::filesystem::remove_all(directory_); }

  std::unique_ptr<Server> Start() {
    auto server = Server::Start(options_, events_);
    EXPECT_TRUE(server.ok()) << server.status();
    return server.ok() ? *std::move(server) : nullptr;
  }
  static std::shared_ptr<grpc::Channel> Connect(const Server& server) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    return grpc::CreateCustomChannel(server.address().ToString(), grpc::InsecureChannelCredentials(),
                                     arguments);
  }
  static std::unique_ptr<grpc::ClientContext> Context() {
    auto context = std::make_unique<grpc::ClientContext>();
    context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    return context;
  }
  static grpc::Status CreateTopic(const Server& server, const std::string& name) {
    naru::v1::CreateTopicRequest request;
    request.set_name(name);
    naru::v1::CreateTopicResponse response;
    return naru::v1::AdminService::NewStub(Connect(server))->CreateTopic(Context().get(), request, &response);
  }
  static grpc::Status Produce(const Server& server, const std::string& topic, const std::string& value) {
    naru::v1::ProduceRequest request;
    request.set_topic(topic);
    request.set_partition(0);
    request.mutable_batch()->add_records()->set_value(value);
    naru::v1::ProduceResponse response;
    return naru::v1::ProduceService::NewStub(Connect(server))->Produce(Context().get(), request, &response);
  }
  static std::vector<std::string> Fetch(const Server& server, const std::string& topic) {
    naru::v1::FetchRequest request;
    request.set_topic(topic);
    naru::v1::FetchResponse response;
    const grpc::Status status =
        naru::v1::ConsumeService::NewStub(Connect(server))->Fetch(Context().get(), request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    std::vector<std::string> values;
    for (const auto& record : response.records()) values.push_back(record.value());
    return values;
  }

  std::filesystem::path directory_;
  ServerOptions options_;
  NullEventLog events_;
};

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
