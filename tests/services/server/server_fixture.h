// A whole server inside the test's process, over real disks and connections.
#pragma once

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "naru/v1/admin.grpc.pb.h"
#include "naru/v1/consume.grpc.pb.h"
#include "naru/v1/produce.grpc.pb.h"
#include "services/server/server.h"

namespace naru::services {

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
  static grpc::Status CreateTopic(const Server& server, const std::string& name,
                                  naru::v1::Durability durability = naru::v1::DURABILITY_UNSPECIFIED) {
    naru::v1::CreateTopicRequest request;
    request.set_name(name);
    request.mutable_config()->set_durability(durability);
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

}  // namespace naru::services
