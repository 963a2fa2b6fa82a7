#include "services/admin/admin_service.h"

#include <grpcpp/grpcpp.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "cluster/coordinator/topic_coordinator.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/batch/batch.h"
#include "storage/log/memory_log_store.h"
#include "tests/services/grpc_errors.h"
#include "tests/services/serve_on_loopback.h"

namespace naru::services {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A server as in production, over a store in memory.
class AdminServiceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    cluster::CoordinatorOptions options;
    options.limits.partitions_total_max = 50'000;
    coordinator_.emplace(options, map_, logs_, clock_, events_);
    ASSERT_TRUE(coordinator_->Start().ok());
    service_.emplace(*coordinator_, logs_);
    std::string target;
    server_ = testing::ServeOnLoopback(*service_, target);
    ASSERT_NE(server_, nullptr);
    const auto channel = grpc::CreateChannel(target, grpc::InsecureChannelCredentials());
    stub_ = naru::v1::AdminService::NewStub(channel);
  }

  void TearDown() override {
    logs_.HoldDurability(false);
    server_->Shutdown();
    coordinator_->Stop();
  }

  // One call; remembers what came back beside the answer.
  template <typename Request, typename Response>
  Response Call(grpc::Status (naru::v1::AdminService::Stub::*method)(grpc::ClientContext*, const Request&,
                                                                     Response*),
                const Request& request) {
    grpc::ClientContext context;
    Response response;
    status_ = ((*stub_).*method)(&context, request, &response);
    metadata_.clear();
    reason_ = ReasonSeen(context, status_, &metadata_);
    return response;
  }

  naru::v1::Topic Create(const std::string& name, int32_t partitions) {
    naru::v1::CreateTopicRequest request;
    request.set_name(name);
    request.set_partition_count(partitions);
    return Create(request);
  }
  naru::v1::Topic Create(const naru::v1::CreateTopicRequest& request) {
    return Call(&naru::v1::AdminService::Stub::CreateTopic, request).topic();
  }
  naru::v1::Topic Get(const naru::v1::GetTopicRequest& request) {
    return Call(&naru::v1::AdminService::Stub::GetTopic, request).topic();
  }
  naru::v1::Topic Get(const std::string& name) {
    naru::v1::GetTopicRequest request;
    request.set_name(name);
    return Get(request);
  }
  naru::v1::ListTopicsResponse List(int32_t page_size, const std::string& token = "",
                                    const std::string& prefix = "") {
    naru::v1::ListTopicsRequest request;
    request.set_page_size(page_size);
    request.set_page_token(token);
    request.set_prefix(prefix);
    return Call(&naru::v1::AdminService::Stub::ListTopics, request);
  }
  naru::v1::Topic Grow(const std::string& name, int32_t partitions) {
    naru::v1::CreatePartitionsRequest request;
    request.set_name(name);
    request.set_partition_count(partitions);
    return Call(&naru::v1::AdminService::Stub::CreatePartitions, request).topic();
  }
  void Delete(const std::string& name, const std::string& topic_id = "") {
    naru::v1::DeleteTopicRequest request;
    request.set_name(name);
    request.set_topic_id(topic_id);
    Call(&naru::v1::AdminService::Stub::DeleteTopic, request);
  }
  naru::v1::DeleteRecordsResponse DeleteRecords(const std::string& topic,
                                                const std::vector<std::pair<int32_t, int64_t>>& partitions) {
    naru::v1::DeleteRecordsRequest request;
    request.set_topic(topic);
    for (const auto& [partition, before_offset] : partitions) {
      naru::v1::PartitionTruncation* truncation = request.add_partitions();
      truncation->set_partition(partition);
      truncation->set_before_offset(before_offset);
    }
    return Call(&naru::v1::AdminService::Stub::DeleteRecords, request);
  }

  // Appends batches of one record each.
  void Append(const std::string& topic, int32_t partition, int records) {
    const LogId log = (*coordinator_->Current()->Find(topic))->partitions[partition].log;
    naru::v1::RecordBatch batch;
    batch.add_records()->set_value("v");
    const absl::Cord bytes(batch.SerializeAsString());
    const auto info = WalkBatch(bytes, BatchLimits());
    ASSERT_TRUE(info.ok()) << info.status();
    for (int i = 0; i < records; ++i) {
      AppendRequest request;
      request.log = log;
      request.batch = bytes;
      request.info = *info;
      absl::Status appended = absl::UnknownError("not done");
      logs_.Append(std::move(request), [&](absl::StatusOr<Appended> done) { appended = done.status(); });
      ASSERT_TRUE(appended.ok()) << appended;
    }
  }

  void ExpectError(grpc::StatusCode code, const std::string& reason, const std::string& message_part) {
    EXPECT_EQ(status_.error_code(), code) << status_.error_message();
    EXPECT_EQ(reason_, reason);
    EXPECT_THAT(status_.error_message(), HasSubstr(message_part));
  }
  void ExpectInvalidField(const std::string& field, const std::string& value,
                          const std::string& message_part) {
    ExpectError(grpc::StatusCode::INVALID_ARGUMENT, "INVALID_FIELD", message_part);
    EXPECT_EQ(metadata_["field"], field);
    EXPECT_EQ(metadata_["value"], value);
    EXPECT_THAT(status_.error_message(), HasSubstr(field));
  }

  ManualClock clock_;
  NullEventLog events_;
  MemoryMapStore map_;
  MemoryLogStore logs_{clock_};
  std::optional<cluster::TopicCoordinator> coordinator_;
  std::optional<AdminService> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<naru::v1::AdminService::Stub> stub_;

  grpc::Status status_;
  std::string reason_;
  std::map<std::string, std::string> metadata_;
};

TEST_F(AdminServiceTest, CreateTopicAnswersWithTheTopicInFull) {
  naru::v1::CreateTopicRequest request;
  request.set_name("orders");
  request.set_partition_count(6);
  request.mutable_config()->set_retention_bytes(1 << 20);
  const naru::v1::Topic topic = Create(request);
  ASSERT_TRUE(status_.ok()) << status_.error_message();
  EXPECT_EQ(topic.name(), "orders");
  EXPECT_EQ(topic.topic_id().size(), 16u);
  EXPECT_EQ(topic.partition_count(), 6);
  EXPECT_EQ(topic.replication_factor(), 1);
  EXPECT_EQ(topic.create_time_ms(), clock_.NowMs());
  EXPECT_EQ(topic.config().retention_bytes(), 1 << 20);
  EXPECT_EQ(topic.config().retention_ms(), 604'800'000);
  EXPECT_EQ(topic.config().durability(), naru::v1::DURABILITY_FSYNC);
  EXPECT_TRUE(topic.partitions().empty());
}

TEST_F(AdminServiceTest, CreateTopicSaysWhatIsWrong) {
  Create("", 1);
  ExpectInvalidField("name", "an empty name", "1 to 249");
  Create("..", 1);
  ExpectInvalidField("name", "\"..\"", "1 to 249");
  Create("__x", 1);
  ExpectInvalidField("name", "\"__x\"", "reserved");
  Create("t", -1);
  ExpectInvalidField("partition_count", "-1", "1 to 100000");
  Create("t", 50'001);
  ExpectInvalidField("partition_count", "50001", "all topics together may have 50000");
  naru::v1::CreateTopicRequest request;
  request.set_name("t");
  request.set_replication_factor(3);
  Create(request);
  ExpectInvalidField("replication_factor", "3", "1 to 1");
  request.clear_replication_factor();
  request.mutable_config()->set_retention_ms(0);
  Create(request);
  ExpectInvalidField("config.retention_ms", "0", "-1 (never delete by age), or 1 and more");
  Create("t", 1);
  Create("t", 1);
  ExpectError(grpc::StatusCode::ALREADY_EXISTS, "TOPIC_EXISTS", "\"t\" exists already");
}

TEST_F(AdminServiceTest, CreateTopicWithValidateOnlyMakesNothing) {
  naru::v1::CreateTopicRequest request;
  request.set_name("orders");
  request.set_validate_only(true);
  const naru::v1::Topic topic = Create(request);
  EXPECT_TRUE(status_.ok());
  EXPECT_EQ(topic.partition_count(), 1);
  EXPECT_EQ(topic.topic_id(), "");
  EXPECT_EQ(topic.create_time_ms(), 0);
  EXPECT_TRUE(List(0).topics().empty());
}

TEST_F(AdminServiceTest, GetTopicTellsWhatEachPartitionHolds) {
  Create("orders", 2);
  Append("orders", 1, 5);
  DeleteRecords("orders", {{1, 2}});
  const naru::v1::Topic topic = Get("orders");
  ASSERT_TRUE(status_.ok()) << status_.error_message();
  ASSERT_EQ(topic.partitions_size(), 2);
  const naru::v1::PartitionState& empty = topic.partitions(0);
  EXPECT_EQ(empty.partition(), 0);
  EXPECT_EQ(empty.leader(), 1);
  EXPECT_EQ(empty.leader_epoch(), 0);
  EXPECT_THAT(empty.replicas(), ElementsAre(1));
  EXPECT_THAT(empty.in_sync_replicas(), ElementsAre(1));
  EXPECT_EQ(empty.high_watermark(), 0);
  EXPECT_EQ(empty.size_bytes(), 0);
  const naru::v1::PartitionState& full = topic.partitions(1);
  EXPECT_EQ(full.log_start_offset(), 2);
  EXPECT_EQ(full.high_watermark(), 5);
  EXPECT_GT(full.size_bytes(), 0);
}

TEST_F(AdminServiceTest, GetTopicTellsOfChosenPartitionsInTheOrderAsked) {
  Create("orders", 4);
  naru::v1::GetTopicRequest request;
  request.set_name("orders");
  request.add_partitions(3);
  request.add_partitions(1);
  const naru::v1::Topic topic = Get(request);
  ASSERT_EQ(topic.partitions_size(), 2);
  EXPECT_EQ(topic.partition_count(), 4);
  EXPECT_EQ(topic.partitions(0).partition(), 3);
  EXPECT_EQ(topic.partitions(1).partition(), 1);
  request.add_partitions(3);
  Get(request);
  ExpectInvalidField("partitions", "3", "named once");
  request.add_partitions(4);
  request.mutable_partitions()->SwapElements(2, 3);
  Get(request);
  ExpectError(grpc::StatusCode::NOT_FOUND, "PARTITION_NOT_FOUND", "partitions 0 to 3");
  EXPECT_EQ(metadata_["partitions"], "4");
}

TEST_F(AdminServiceTest, GetTopicOfAVeryWideTopicAsksToNamePartitions) {
  Create("wide", 20'001);
  ASSERT_TRUE(status_.ok()) << status_.error_message();
  Get("wide");
  ExpectInvalidField("partitions", "the state of 20001 partitions", "name at most 20000");
  naru::v1::GetTopicRequest request;
  request.set_name("wide");
  for (int32_t partition = 1; partition <= 20'000; ++partition) request.add_partitions(partition);
  EXPECT_EQ(Get(request).partitions_size(), 20'000);
  EXPECT_TRUE(status_.ok()) << status_.error_message();
}

TEST_F(AdminServiceTest, AnUnknownTopicIsToldWithTheCommandThatCreatesIt) {
  Get("nope");
  ExpectError(grpc::StatusCode::NOT_FOUND, "TOPIC_NOT_FOUND", "naru topic create nope --partitions N");
  Grow("nope", 3);
  ExpectError(grpc::StatusCode::NOT_FOUND, "TOPIC_NOT_FOUND", "naru topic create nope --partitions N");
  Delete("nope");
  ExpectError(grpc::StatusCode::NOT_FOUND, "TOPIC_NOT_FOUND", "naru topic create nope --partitions N");
  DeleteRecords("nope", {{0, 0}});
  ExpectError(grpc::StatusCode::NOT_FOUND, "TOPIC_NOT_FOUND", "naru topic create nope --partitions N");
  naru::v1::UpdateTopicRequest update;
  update.set_name("nope");
  Call(&naru::v1::AdminService::Stub::UpdateTopic, update);
  ExpectError(grpc::StatusCode::NOT_FOUND, "TOPIC_NOT_FOUND", "naru topic create nope --partitions N");
  Get("a/b");
  ExpectInvalidField("name", "\"a/b\"", "1 to 249");
}

TEST_F(AdminServiceTest, ListTopicsGoesPageByPageInOrder) {
  for (const std::string name : {"b.2", "a.1", "b.1", "b.3", "c.1"}) Create(name, 1);
  std::vector<std::string> names;
  std::string token;
  int pages = 0;
  do {
    const naru::v1::ListTopicsResponse page = List(2, token);
    ASSERT_TRUE(status_.ok()) << status_.error_message();
    for (const naru::v1::Topic& topic : page.topics()) names.push_back(topic.name());
    token = page.next_page_token();
    ++pages;
  } while (!token.empty());
  EXPECT_THAT(names, ElementsAre("a.1", "b.1", "b.2", "b.3", "c.1"));
  EXPECT_EQ(pages, 3);

  const naru::v1::ListTopicsResponse of_b = List(2, "", "b.");
  EXPECT_EQ(of_b.topics(0).name(), "b.1");
  EXPECT_EQ(List(2, of_b.next_page_token(), "b.").topics(0).name(), "b.3");
  EXPECT_EQ(List(2, of_b.next_page_token(), "b.").next_page_token(), "");
  EXPECT_TRUE(List(2, "", "zzz").topics().empty());
}

TEST_F(AdminServiceTest, ATopicDeletedBetweenPagesHidesNoOther) {
  for (const std::string name : {"a", "b", "c"}) Create(name, 1);
  const std::string token = List(2).next_page_token();
  Delete("b");
  const naru::v1::ListTopicsResponse rest = List(2, token);
  ASSERT_EQ(rest.topics_size(), 1);
  EXPECT_EQ(rest.topics(0).name(), "c");
}

TEST_F(AdminServiceTest, ListTopicsTakesOnlyItsOwnTokens) {
  for (const std::string name : {"a", "b", "c"}) Create(name, 1);
  const std::string token = List(1).next_page_token();
  for (const std::string& bad : {std::string("x"), std::string("%%%"), token + "A", token.substr(1)}) {
    List(1, bad);
    ExpectError(grpc::StatusCode::INVALID_ARGUMENT, "INVALID_FIELD", "next_page_token of the answer before");
    EXPECT_EQ(metadata_["field"], "page_token");
  }
  List(1, token, "a");
  EXPECT_EQ(metadata_["field"], "page_token") << "made for another prefix";
  List(-1);
  ExpectInvalidField("page_size", "-1", "0 (the default, 100) to 1000");
  List(1, "", std::string(250, 'a'));
  ExpectInvalidField("prefix", "a prefix of 250 bytes", "at most 249");
}

TEST_F(AdminServiceTest, PagesHave100TopicsByDefaultAndAtMost1000) {
  for (int topic = 0; topic < 1'001; ++topic) Create("t" + std::to_string(topic), 1);
  EXPECT_EQ(List(0).topics_size(), 100);
  EXPECT_EQ(List(5'000).topics_size(), 1'000);
}

TEST_F(AdminServiceTest, UpdateTopicFollowsItsMask) {
  Create("orders", 1);
  naru::v1::UpdateTopicRequest request;
  request.set_name("orders");
  request.mutable_config()->set_retention_ms(10);
  request.mutable_config()->set_retention_bytes(20);
  const auto update = [&] {
    return Call(&naru::v1::AdminService::Stub::UpdateTopic, request).topic().config();
  };
  EXPECT_EQ(update().retention_bytes(), 20);
  request.mutable_config()->clear_retention_bytes();
  request.mutable_update_mask()->add_paths("retention_bytes");
  const naru::v1::TopicConfig reset = update();
  EXPECT_EQ(reset.retention_bytes(), -1) << "named and not set: back to the default";
  EXPECT_EQ(reset.retention_ms(), 10);
  EXPECT_EQ(Get("orders").config().retention_bytes(), -1);
  request.mutable_update_mask()->add_paths("color");
  update();
  ExpectInvalidField("update_mask", "\"color\"", "retention_ms, retention_bytes");
  request.clear_update_mask();
  request.mutable_config()->set_min_in_sync_replicas(2);
  update();
  ExpectInvalidField("config.min_in_sync_replicas", "2", "1 to 1 (the topic's replication_factor)");
}

TEST_F(AdminServiceTest, CreatePartitionsOnlyAdds) {
  Create("orders", 3);
  EXPECT_EQ(Grow("orders", 5).partition_count(), 5);
  EXPECT_EQ(Get("orders").partitions_size(), 5);
  Grow("orders", 4);
  ExpectInvalidField("partition_count", "4", "has 5 partitions, and partitions can only be added");
}

TEST_F(AdminServiceTest, DeleteTopicGuardsByIdAndThenDeletes) {
  const std::string id = Create("orders", 2).topic_id();
  Delete("orders", std::string(16, 'x'));
  ExpectError(grpc::StatusCode::FAILED_PRECONDITION, "TOPIC_ID_MISMATCH", "deleted and made again");
  EXPECT_EQ(metadata_["topic_id"].size(), 32u);
  Delete("orders", "short");
  ExpectInvalidField("topic_id", "an id of 5 bytes", "16 bytes");
  Delete("orders", id);
  EXPECT_TRUE(status_.ok()) << status_.error_message();
  EXPECT_THAT(logs_.Logs(), IsEmpty());
}

TEST_F(AdminServiceTest, DeleteRecordsAnswersForEachPartitionInTheOrderAsked) {
  Create("orders", 4);
  for (int32_t partition = 0; partition < 4; ++partition) Append("orders", partition, 10);
  const auto results = DeleteRecords("orders", {{3, 4}, {9, 1}, {0, -1}, {1, 11}, {2, 0}}).results();
  ASSERT_TRUE(status_.ok()) << status_.error_message();
  ASSERT_EQ(results.size(), 5);
  EXPECT_EQ(results[0].partition(), 3);
  EXPECT_EQ(results[0].log_start_offset(), 4);
  EXPECT_EQ(results[1].partition(), 9);
  EXPECT_EQ(results[1].error().reason(), "PARTITION_NOT_FOUND");
  EXPECT_EQ(results[1].error().code(), static_cast<int>(grpc::StatusCode::NOT_FOUND));
  EXPECT_EQ(results[2].log_start_offset(), 10) << "-1 is the high watermark";
  EXPECT_EQ(results[3].error().reason(), "OFFSET_OUT_OF_RANGE");
  EXPECT_EQ(results[3].error().metadata().at("high_watermark"), "10");
  EXPECT_THAT(results[3].error().message(), HasSubstr("before_offset: 11"));
  EXPECT_EQ(results[4].log_start_offset(), 0);
  const naru::v1::Topic topic = Get("orders");
  EXPECT_EQ(topic.partitions(0).log_start_offset(), 10);
  EXPECT_EQ(topic.partitions(1).log_start_offset(), 0) << "nothing was deleted where there is an error";
  EXPECT_EQ(topic.partitions(3).log_start_offset(), 4);
  EXPECT_EQ(DeleteRecords("orders", {{3, 2}}).results(0).log_start_offset(), 4) << "never backwards";
}

TEST_F(AdminServiceTest, DeleteRecordsSaysWhatIsWrong) {
  Create("orders", 2);
  DeleteRecords("orders", {});
  ExpectInvalidField("partitions", "an empty list", "at least one");
  DeleteRecords("orders", std::vector<std::pair<int32_t, int64_t>>(5'001));
  ExpectInvalidField("partitions", "a list of 5001", "at most 5000");
  DeleteRecords("orders", {{0, 0}, {1, 0}, {0, 0}});
  ExpectInvalidField("partitions[2].partition", "0", "named once");
  DeleteRecords("orders", {{0, 0}, {1, -2}});
  ExpectInvalidField("partitions[1].before_offset", "-2", "-1 (all up to the high watermark)");
  DeleteRecords("a b", {{0, 0}});
  ExpectInvalidField("topic", "\"a b\"", "1 to 249");
}

TEST_F(AdminServiceTest, DeleteRecordsAnswersOnlyWhenDurable) {
  Create("orders", 2);
  Append("orders", 0, 3);
  Append("orders", 1, 3);
  logs_.HoldDurability(true);
  absl::Notification answered;
  std::thread call([&] {
    DeleteRecords("orders", {{0, 2}, {1, 1}});
    answered.Notify();
  });
  while (logs_.waiting_changes() < 2) std::this_thread::yield();
  logs_.MakeDurable(1);
  EXPECT_FALSE(answered.HasBeenNotified());
  logs_.MakeDurable(1);
  call.join();
  EXPECT_TRUE(status_.ok());
}

TEST_F(AdminServiceTest, AfterShutdownEveryCallIsRefusedWithAHintToRetry) {
  Create("orders", 1);
  service_->Shutdown();
  const std::vector<std::function<void()>> calls = {
      [&] { Create("other", 1); },
      [&] { Get("orders"); },
      [&] { List(0); },
      [&] { Grow("orders", 2); },
      [&] { Delete("orders"); },
      [&] {
        DeleteRecords("orders", {{0, 0}});
      },
      [&] { Call(&naru::v1::AdminService::Stub::UpdateTopic, naru::v1::UpdateTopicRequest()); },
  };
  for (const auto& call : calls) {
    call();
    ExpectError(grpc::StatusCode::UNAVAILABLE, "SHUTTING_DOWN", "shutting down");
    google::rpc::Status details;
    ASSERT_TRUE(details.ParseFromString(status_.error_details()));
    EXPECT_EQ(details.details_size(), 2) << "ErrorInfo and RetryInfo";
  }
}

TEST_F(AdminServiceTest, ManyClientsMakeAndDeleteTopicsAtOnce) {
  std::vector<std::thread> clients;
  for (int client = 0; client < 8; ++client) {
    clients.emplace_back([&, client] {
      for (int round = 0; round < 20; ++round) {
        const std::string name = "t" + std::to_string(client);
        grpc::ClientContext create_context, delete_context;
        naru::v1::CreateTopicRequest create;
        naru::v1::CreateTopicResponse created;
        create.set_name(name);
        create.set_partition_count(2);
        EXPECT_TRUE(stub_->CreateTopic(&create_context, create, &created).ok());
        naru::v1::DeleteTopicRequest remove;
        naru::v1::DeleteTopicResponse removed;
        remove.set_name(name);
        EXPECT_TRUE(stub_->DeleteTopic(&delete_context, remove, &removed).ok());
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_THAT(logs_.Logs(), IsEmpty());
}

}  // namespace
}  // namespace naru::services
