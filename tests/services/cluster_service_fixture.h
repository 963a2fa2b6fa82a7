// A cluster service over a real connection, whose catalog a test publishes.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cluster/coordinator/catalog_publisher.h"
#include "gtest/gtest.h"
#include "services/cluster/cluster_service.h"
#include "tests/services/grpc_errors.h"
#include "tests/services/serve_on_loopback.h"

namespace naru::services {

using WatchReader = grpc::ClientReader<naru::v1::WatchMetadataResponse>;

inline cluster::TopicInfo MakeTopic(const std::string& name, int32_t partitions) {
  cluster::TopicInfo topic;
  topic.name = name;
  topic.topic_id = std::string(16, 'i');
  for (int32_t partition = 0; partition < partitions; ++partition) {
    const BrokerId leader(partition % 3 + 1);
    topic.partitions.push_back({LogId(partition + 1), leader, LeaderEpoch(partition), {leader}});
  }
  return topic;
}

// Gives out what a publisher publishes; of the changes only elections.
class Topics final : public cluster::TopicChanger {
 public:
  explicit Topics(cluster::CatalogPublisher& publisher) : publisher_(publisher) {}

  std::shared_ptr<const cluster::TopicCatalog> Current() const override { return publisher_.Current(); }
  WatchId Watch(std::function<void()> changed) override { return publisher_.Watch(std::move(changed)); }
  void CancelWatch(WatchId watch) override { publisher_.CancelWatch(watch); }
  void ElectLeaders(naru::v1::ElectLeadersRequest request, TopicDone done) override {
    done(Current()->Find(request.topic()));
  }

  void CreateTopic(naru::v1::CreateTopicRequest, TopicDone done) override { done(None()); }
  void CreateInternalTopic(naru::v1::CreateTopicRequest, Done done) override { done(None()); }
  void UpdateTopic(naru::v1::UpdateTopicRequest, TopicDone done) override { done(None()); }
  void CreatePartitions(naru::v1::CreatePartitionsRequest, TopicDone done) override { done(None()); }
  void DeleteTopic(naru::v1::DeleteTopicRequest, Done done) override { done(None()); }

 private:
  static absl::Status None() { return absl::UnimplementedError("not in this test"); }

  cluster::CatalogPublisher& publisher_;
};

class ClusterServiceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    catalog_.version = 1;
    catalog_.cluster_id = "0123456789abcdef0123456789abcdef";
    catalog_.self = BrokerId(2);
    catalog_.brokers = {
        {BrokerId(1), "hub-1:9410"}, {BrokerId(2), "hub-2:9410"}, {BrokerId(3), "hub-3:9410"}};
    Put("orders", 3);
    Put("events", 1);
  }
  void TearDown() override {
    if (service_) service_->Shutdown();
    if (server_) server_->Shutdown();
  }

  void Serve(ClusterServiceOptions options = {}) {
    const auto describe = [] {
      naru::v1::BrokerState state;
      state.set_version("1.2.3");
      state.set_uptime_seconds(60);
      state.set_live_bytes(7);
      return state;
    };
    service_.emplace(topics_, describe, options);
    server_ = testing::ServeOnLoopback(*service_, target_);
    ASSERT_NE(server_, nullptr);
    channel_ = NewChannel();
    stub_ = naru::v1::ClusterService::NewStub(channel_);
  }

  // With small fixed windows: what a client does not read stays at the server.
  std::shared_ptr<grpc::Channel> NewChannel() {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel(target_, grpc::InsecureChannelCredentials(), arguments);
  }

  // Publishes the catalog with this topic.
  void Put(const std::string& name, int32_t partitions) {
    catalog_.topics[name] = std::make_shared<const cluster::TopicInfo>(MakeTopic(name, partitions));
    Publish();
  }
  void Publish() {
    ++catalog_.version;
    publisher_.Publish(catalog_);
  }

  naru::v1::Metadata GetMetadata(const std::vector<std::string>& topics) {
    grpc::ClientContext context;
    naru::v1::GetMetadataRequest request;
    for (const std::string& topic : topics) request.add_topics(topic);
    naru::v1::GetMetadataResponse response;
    status_ = stub_->GetMetadata(&context, request, &response);
    metadata_.clear();
    reason_ = ReasonSeen(context, status_, &metadata_);
    return response.metadata();
  }
  std::unique_ptr<WatchReader> Watch(grpc::ClientContext& context, const std::vector<std::string>& topics) {
    naru::v1::WatchMetadataRequest request;
    for (const std::string& topic : topics) request.add_topics(topic);
    return stub_->WatchMetadata(&context, request);
  }
  // The next snapshot; without one, the version is -1.
  static naru::v1::Metadata Next(WatchReader& reader) {
    naru::v1::WatchMetadataResponse response;
    if (!reader.Read(&response)) response.mutable_metadata()->set_version(-1);
    return response.metadata();
  }
  void ExpectEnd(WatchReader& reader, const grpc::ClientContext& context, grpc::StatusCode code,
                 const std::string& reason) {
    EXPECT_EQ(Next(reader).version(), -1);
    const grpc::Status status = reader.Finish();
    EXPECT_EQ(status.error_code(), code) << status.error_message();
    EXPECT_EQ(ReasonSeen(context, status), reason);
  }

  cluster::TopicCatalog catalog_;
  cluster::CatalogPublisher publisher_;
  Topics topics_{publisher_};
  std::optional<ClusterService> service_;
  std::unique_ptr<grpc::Server> server_;
  std::string target_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<naru::v1::ClusterService::Stub> stub_;

  grpc::Status status_;
  std::string reason_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace naru::services
