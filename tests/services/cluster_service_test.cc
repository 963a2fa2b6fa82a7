#include "services/cluster/cluster_service.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/services/cluster_service_fixture.h"
#include "tests/services/grpc_errors.h"

namespace naru::services {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(ClusterServiceTest, AnElectionIsAnsweredWithWhoLeadsThePartitionsAskedFor) {
  Serve();
  naru::v1::ElectLeadersRequest request;
  request.set_topic("orders");
  const auto elect = [&] {
    grpc::ClientContext context;
    naru::v1::ElectLeadersResponse response;
    status_ = stub_->ElectLeaders(&context, request, &response);
    return response;
  };
  EXPECT_EQ(elect().partitions_size(), 3);
  request.add_partitions(2);
  const naru::v1::ElectLeadersResponse response = elect();
  ASSERT_TRUE(status_.ok()) << status_.error_message();
  ASSERT_EQ(response.partitions_size(), 1);
  EXPECT_EQ(response.partitions(0).partition(), 2);
  EXPECT_EQ(response.partitions(0).leader(), 3);
  EXPECT_EQ(response.partitions(0).leader_epoch(), 2);
  request.set_topic("unknown");
  elect();
  EXPECT_EQ(status_.error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(ClusterServiceTest, GetMetadataTellsWhoLeadsWhat) {
  Serve();
  const naru::v1::Metadata metadata = GetMetadata({});
  ASSERT_TRUE(status_.ok()) << status_.error_message();
  EXPECT_EQ(metadata.version(), catalog_.version);
  EXPECT_EQ(metadata.cluster_id(), catalog_.cluster_id);
  ASSERT_EQ(metadata.brokers_size(), 3);
  EXPECT_EQ(metadata.brokers(1).broker_id(), 2);
  EXPECT_EQ(metadata.brokers(1).address(), "hub-2:9410");
  ASSERT_EQ(metadata.topics_size(), 2);
  EXPECT_EQ(metadata.topics(0).name(), "events");
  const naru::v1::TopicMetadata& orders = metadata.topics(1);
  EXPECT_EQ(orders.name(), "orders");
  EXPECT_EQ(orders.topic_id(), std::string(16, 'i'));
  ASSERT_EQ(orders.partitions_size(), 3);
  EXPECT_EQ(orders.partitions(2).partition(), 2);
  EXPECT_EQ(orders.partitions(2).leader(), 3);
  EXPECT_EQ(orders.partitions(2).leader_epoch(), 2);
}

TEST_F(ClusterServiceTest, GetMetadataFollowsTheCatalog) {
  Serve();
  GetMetadata({});
  Put("later", 2);
  const naru::v1::Metadata metadata = GetMetadata({});
  EXPECT_EQ(metadata.version(), catalog_.version);
  EXPECT_EQ(metadata.topics_size(), 3);
}

TEST_F(ClusterServiceTest, NamedTopicsComeInTheOrderAskedAndUnknownOnesWithAnError) {
  Serve();
  const naru::v1::Metadata metadata = GetMetadata({"orders", "nope", "a b", "events"});
  ASSERT_TRUE(status_.ok());
  ASSERT_EQ(metadata.topics_size(), 4);
  EXPECT_EQ(metadata.topics(0).name(), "orders");
  EXPECT_FALSE(metadata.topics(0).has_error());
  EXPECT_EQ(metadata.topics(1).name(), "nope");
  EXPECT_EQ(metadata.topics(1).error().reason(), "TOPIC_NOT_FOUND");
  EXPECT_THAT(metadata.topics(1).error().message(), HasSubstr("naru topic create nope"));
  EXPECT_EQ(metadata.topics(1).partitions_size(), 0);
  EXPECT_EQ(metadata.topics(2).error().reason(), "INVALID_FIELD");
  EXPECT_EQ(metadata.topics(3).name(), "events");
}

TEST_F(ClusterServiceTest, ATopicNamedTwiceIsRefused) {
  Serve();
  GetMetadata({"orders", "events", "orders"});
  EXPECT_EQ(status_.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(reason_, "INVALID_FIELD");
  EXPECT_EQ(metadata_["field"], "topics");
  EXPECT_EQ(metadata_["value"], "\"orders\"");
  grpc::ClientContext context;
  const auto reader = Watch(context, {"orders", "orders"});
  ExpectEnd(*reader, context, grpc::StatusCode::INVALID_ARGUMENT, "INVALID_FIELD");
}

TEST_F(ClusterServiceTest, AtMostAThousandTopicsAreNamed) {
  Serve();
  std::vector<std::string> names;
  for (int name = 0; name < 1'000; ++name) names.push_back("t" + std::to_string(name));
  EXPECT_EQ(GetMetadata(names).topics_size(), 1'000);
  names.push_back("orders");
  GetMetadata(names);
  EXPECT_EQ(reason_, "INVALID_FIELD");
  EXPECT_EQ(metadata_["value"], "a list of 1001");
}

TEST_F(ClusterServiceTest, TheNamesThatStreamsWatchTakeBoundedMemory) {
  Serve();
  std::vector<std::string> names;
  for (int name = 0; name < 1'000; ++name)
    names.push_back(std::to_string(1'000 + name) + std::string(245, 'n'));
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<WatchReader>> readers;
  do {
    ASSERT_LT(readers.size(), 100u) << "never refused";
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    readers.push_back(Watch(*contexts.back(), names));
  } while (Next(*readers.back()).version() != -1);
  EXPECT_GT(readers.size(), 40u);
  const grpc::Status refusal = readers.back()->Finish();
  EXPECT_EQ(ReasonSeen(*contexts.back(), refusal), "TOO_MANY_IN_FLIGHT");
  EXPECT_THAT(refusal.error_message(), HasSubstr("the names that streams watch"));
  readers.pop_back();
  contexts.push_back(std::make_unique<grpc::ClientContext>());
  readers.push_back(Watch(*contexts.back(), {}));
  EXPECT_GT(Next(*readers.back()).version(), 0) << "a stream without names needs none of that";
  for (const auto& open : contexts) open->TryCancel();
  for (const auto& reader : readers) reader->Finish();
}

TEST_F(ClusterServiceTest, MetadataThatWouldBeTooLargeAsksToNameTopics) {
  Serve({.message_bytes_max = 1'000});
  Put("wide", 500);
  for (int attempt = 0; attempt < 2; ++attempt) {
    GetMetadata({});
    EXPECT_EQ(status_.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(metadata_["field"], "topics");
    EXPECT_THAT(status_.error_message(), HasSubstr("at most 1000: name fewer topics"));
  }
  GetMetadata({"orders", "events"});
  EXPECT_TRUE(status_.ok());
  grpc::ClientContext context;
  const auto reader = Watch(context, {});
  ExpectEnd(*reader, context, grpc::StatusCode::INVALID_ARGUMENT, "INVALID_FIELD");
}

TEST_F(ClusterServiceTest, BytesThatAreNoRequestAreAnInvalidField) {
  Serve();
  grpc::GenericStub stub(channel_);
  const grpc::Slice slice("\x0a\xff\xff");
  const grpc::ByteBuffer request(&slice, 1);
  for (const std::string method : {"GetMetadata", "WatchMetadata", "DescribeCluster"}) {
    grpc::ClientContext context;
    grpc::CompletionQueue queue;
    auto call = stub.PrepareUnaryCall(&context, "/naru.v1.ClusterService/" + method, request, &queue);
    grpc::ByteBuffer response;
    grpc::Status status;
    call->StartCall();
    call->Finish(&response, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    ASSERT_TRUE(queue.Next(&tag, &ok));
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
    EXPECT_EQ(ReasonSeen(context, status), "INVALID_FIELD");
    EXPECT_THAT(status.error_message(), HasSubstr(method + "Request: bytes that do not parse"));
  }
}

TEST_F(ClusterServiceTest, AWatchGetsASnapshotAtOnceAndAfterEachChange) {
  Serve();
  grpc::ClientContext context;
  const auto reader = Watch(context, {});
  EXPECT_EQ(Next(*reader).version(), catalog_.version);
  for (int change = 0; change < 3; ++change) {
    Put("later", change + 1);
    const naru::v1::Metadata metadata = Next(*reader);
    EXPECT_EQ(metadata.version(), catalog_.version);
    ASSERT_EQ(metadata.topics_size(), 3);
    EXPECT_EQ(metadata.topics(1).partitions_size(), change + 1);
  }
  context.TryCancel();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(ClusterServiceTest, AWatchOfNamedTopicsIsSpareOfOtherChanges) {
  Serve();
  grpc::ClientContext context;
  const auto reader = Watch(context, {"orders", "later"});
  const naru::v1::Metadata first = Next(*reader);
  EXPECT_EQ(first.topics(1).error().reason(), "TOPIC_NOT_FOUND");
  Put("events", 9);
  Put("events", 10);
  Put("later", 2);
  const naru::v1::Metadata second = Next(*reader);
  EXPECT_EQ(second.version(), catalog_.version);
  EXPECT_EQ(second.topics(1).partitions_size(), 2);
  catalog_.brokers[0].address = "hub-1:1";
  Publish();
  EXPECT_EQ(Next(*reader).brokers(0).address(), "hub-1:1");
  context.TryCancel();
  reader->Finish();
}

TEST_F(ClusterServiceTest, ASlowWatcherMissesSnapshotsAndAlwaysGetsTheNewest) {
  Serve();
  Put("wide", 100'000);
  grpc::ClientContext context;
  const auto reader = Watch(context, {});
  int64_t version = Next(*reader).version();
  constexpr int kChanges = 50;
  for (int change = 0; change < kChanges; ++change) Put("orders", change + 1);
  int snapshots = 0;
  while (version < catalog_.version) {
    const int64_t next = Next(*reader).version();
    ASSERT_GT(next, version);
    version = next;
    ++snapshots;
  }
  EXPECT_LT(snapshots, kChanges);
  context.TryCancel();
  reader->Finish();
}

TEST_F(ClusterServiceTest, BeyondTheirNumberWatchesAreRefusedUntilOneEnds) {
  Serve({.watches_max = 1});
  grpc::ClientContext first_context;
  const auto first = Watch(first_context, {});
  ASSERT_GT(Next(*first).version(), 0);
  grpc::ClientContext second_context;
  const auto second = Watch(second_context, {});
  ExpectEnd(*second, second_context, grpc::StatusCode::RESOURCE_EXHAUSTED, "TOO_MANY_IN_FLIGHT");
  first_context.TryCancel();
  first->Finish();
  bool admitted = false;
  while (!admitted) {
    grpc::ClientContext context;
    const auto reader = Watch(context, {});
    admitted = Next(*reader).version() > 0;
    context.TryCancel();
    reader->Finish();
  }
}

TEST_F(ClusterServiceTest, ShutdownEndsWatchesAndRefusesCalls) {
  Serve();
  grpc::ClientContext idle_context;
  const auto idle = Watch(idle_context, {});
  ASSERT_GT(Next(*idle).version(), 0);
  service_->Shutdown();
  ExpectEnd(*idle, idle_context, grpc::StatusCode::UNAVAILABLE, "SHUTTING_DOWN");
  grpc::ClientContext late_context;
  const auto late = Watch(late_context, {});
  ExpectEnd(*late, late_context, grpc::StatusCode::UNAVAILABLE, "SHUTTING_DOWN");
  GetMetadata({});
  EXPECT_EQ(status_.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(reason_, "SHUTTING_DOWN");
  grpc::ClientContext context;
  naru::v1::DescribeClusterResponse response;
  const grpc::Status status = stub_->DescribeCluster(&context, {}, &response);
  EXPECT_EQ(ReasonSeen(context, status), "SHUTTING_DOWN");
  service_->Shutdown();
  Put("later", 1);
}

TEST_F(ClusterServiceTest, TheServerStopsAlsoWhenAWatcherNeverReads) {
  Serve();
  Put("wide", 100'000);
  grpc::ClientContext context;
  const auto reader = Watch(context, {});
  ASSERT_GT(Next(*reader).version(), 0);
  Put("orders", 7);
  service_->Shutdown();
  server_->Shutdown(std::chrono::system_clock::now());
  while (Next(*reader).version() != -1) {
  }
  EXPECT_FALSE(reader->Finish().ok());
}

TEST_F(ClusterServiceTest, WatchersThatNeverReadCostBoundedMemoryAndHinderNobody) {
  Put("wide", 100'000);
  Serve({.pending_bytes_max = 3 << 20});
  struct Stalled {
    std::shared_ptr<grpc::Channel> channel;
    std::unique_ptr<naru::v1::ClusterService::Stub> stub;
    grpc::ClientContext context;
    std::unique_ptr<WatchReader> reader;
  };
  grpc::ClientContext context;
  const auto reader = Watch(context, {});
  ASSERT_EQ(Next(*reader).version(), catalog_.version);
  // Each takes another version's snapshot of about 900 KB, and never reads on.
  std::vector<std::unique_ptr<Stalled>> stalled;
  for (int i = 0; i < 12; ++i) {
    auto watcher = std::make_unique<Stalled>();
    watcher->channel = NewChannel();
    watcher->stub = naru::v1::ClusterService::NewStub(watcher->channel);
    watcher->reader = watcher->stub->WatchMetadata(&watcher->context, {});
    ASSERT_GT(Next(*watcher->reader).version(), 0);
    stalled.push_back(std::move(watcher));
    Put("orders", i + 1);
    int64_t version = 0;
    while (version < catalog_.version) {
      version = Next(*reader).version();
      ASSERT_GT(version, 0);
    }
  }
  int cut_off = 0;
  for (const auto& watcher : stalled) {
    int64_t version = 0;
    while (version != -1 && version < catalog_.version) version = Next(*watcher->reader).version();
    if (version == -1) ++cut_off;
    watcher->context.TryCancel();
    watcher->reader->Finish();
  }
  EXPECT_GT(cut_off, 0);
  context.TryCancel();
  reader->Finish();
}

TEST_F(ClusterServiceTest, WithoutMemoryForAnAnswerGetMetadataSaysSo) {
  Serve({.pending_bytes_max = 10});
  GetMetadata({});
  EXPECT_EQ(status_.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(reason_, "TOO_MANY_IN_FLIGHT");
}

TEST_F(ClusterServiceTest, MemoryOfAnswersComesBackWhenTheyAreTaken) {
  Put("wide", 20'000);
  Serve({.pending_bytes_max = 1 << 20});
  for (int call = 0; call < 50; ++call) {
    GetMetadata({"wide"});
    // The server may let go of an answer a little after the client has it.
    if (reason_ == "TOO_MANY_IN_FLIGHT") --call;
  }
  EXPECT_TRUE(status_.ok()) << status_.error_message();
}

TEST_F(ClusterServiceTest, DescribeClusterTellsWhoIsAwayAndWhatHasNoLeader) {
  catalog_.away = {{BrokerId(1), "hub-1:9410"}};
  std::erase_if(catalog_.brokers, [](const cluster::BrokerInfo& broker) { return broker.id == BrokerId(1); });
  auto topic = std::make_shared<cluster::TopicInfo>(MakeTopic("orders", 3));
  topic->partitions[0].leader = topic->partitions[2].leader = BrokerId(0);
  catalog_.topics["orders"] = topic;
  Publish();
  Serve();
  grpc::ClientContext context;
  naru::v1::DescribeClusterResponse response;
  ASSERT_TRUE(stub_->DescribeCluster(&context, {}, &response).ok());
  EXPECT_EQ(response.offline_partition_count(), 2);
  ASSERT_EQ(response.brokers_size(), 3);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(response.brokers(i).broker().broker_id(), i + 1);
    EXPECT_EQ(response.brokers(i).away(), i == 0);
  }
  EXPECT_EQ(response.brokers(0).broker().address(), "hub-1:9410");
}

TEST_F(ClusterServiceTest, DescribeClusterTellsOfTheClusterAndThisBroker) {
  Serve();
  grpc::ClientContext context;
  naru::v1::DescribeClusterResponse response;
  ASSERT_TRUE(stub_->DescribeCluster(&context, {}, &response).ok());
  EXPECT_EQ(response.cluster_id(), catalog_.cluster_id);
  EXPECT_EQ(response.topic_count(), 2);
  EXPECT_EQ(response.partition_count(), 4);
  ASSERT_EQ(response.brokers_size(), 3);
  EXPECT_EQ(response.brokers(1).broker().broker_id(), 2);
  EXPECT_EQ(response.brokers(1).broker().address(), "hub-2:9410");
  EXPECT_EQ(response.brokers(1).version(), "1.2.3");
  EXPECT_EQ(response.brokers(1).uptime_seconds(), 60);
  EXPECT_EQ(response.brokers(1).live_bytes(), 7);
  EXPECT_EQ(response.brokers(0).version(), "") << "other brokers are not asked";
}

TEST_F(ClusterServiceTest, ManyWatchersComeAndGoWhileTheMetadataChanges) {
  Serve();
  std::atomic<bool> stop = false;
  std::vector<std::thread> watchers;
  for (int watcher = 0; watcher < 4; ++watcher) {
    watchers.emplace_back([&, watcher] {
      while (!stop) {
        grpc::ClientContext context;
        const auto reader = Watch(
            context, watcher % 2 == 0 ? std::vector<std::string>() : std::vector<std::string>{"orders"});
        int64_t version = 0;
        for (int read = 0; read <= watcher; ++read) {
          const int64_t next = Next(*reader).version();
          EXPECT_GT(next, version);
          version = next;
          if (stop) break;
        }
        context.TryCancel();
        reader->Finish();
      }
    });
  }
  for (int change = 0; change < 100; ++change) {
    Put("orders", change % 7 + 1);
    std::this_thread::yield();
  }
  stop = true;
  // Those that wait for a change get one.
  std::thread last([&] {
    for (std::thread& watcher : watchers) watcher.join();
  });
  for (int change = 0; change < 5; ++change) Put("orders", change + 1);
  last.join();
}

}  // namespace
}  // namespace naru::services
