// Unary Produce over a real connection.
#include "services/produce/produce_service.h"

#include <future>
#include <set>

#include "gmock/gmock.h"
#include "storage/batch/batch.h"
#include "storage/batch/compression.h"
#include "storage/batch/partitioner.h"
#include "tests/services/hub.h"

namespace naru::services {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ProduceServiceTest : public ::testing::Test {
 protected:
  void SetUp() override { hub_.catalog.SetTopic("orders", 3); }

  naru::v1::ProduceResponse MustProduce(const naru::v1::ProduceRequest& request) {
    naru::v1::ProduceResponse response;
    const CallEnd end = hub_.Produce(request, &response);
    EXPECT_EQ(end.code, grpc::StatusCode::OK) << end.message;
    return response;
  }

  Hub hub_;
};

TEST_F(ProduceServiceTest, AnAnswerNamesThePartitionAndTheOffsetsOfTheRecords) {
  naru::v1::ProduceRequest request = RequestFor("orders", {"a", "b"});
  request.set_partition(2);
  MustProduce(request);
  const naru::v1::ProduceResponse response = MustProduce(request);
  ASSERT_EQ(response.results_size(), 1);
  const naru::v1::PartitionProduceResult& result = response.results(0);
  EXPECT_EQ(result.partition(), 2);
  EXPECT_EQ(result.base_offset(), 2);
  EXPECT_EQ(result.next_offset(), 4);
  EXPECT_EQ(result.log_start_offset(), 0);
  EXPECT_GT(result.append_time_ms(), 1'600'000'000'000);
  EXPECT_THAT(result.record_indexes(), IsEmpty());
  EXPECT_FALSE(result.has_error());
  EXPECT_THAT(Stored(hub_, "orders", 2), ElementsAre("a", "b", "a", "b"));
}

TEST_F(ProduceServiceTest, SevenKeylessEventsOverThreePartitionsLand322) {
  for (int i = 0; i < 7; ++i) MustProduce(RequestFor("orders", {"v"}));
  EXPECT_EQ(hub_.EndOffset("orders", 0), 3);
  EXPECT_EQ(hub_.EndOffset("orders", 1), 2);
  EXPECT_EQ(hub_.EndOffset("orders", 2), 2);
}

TEST_F(ProduceServiceTest, AKeylessBatchGoesWholeToOnePartition) {
  MustProduce(RequestFor("orders", {"a", "b", "c"}));
  EXPECT_THAT(Stored(hub_, "orders", 0), ElementsAre("a", "b", "c"));
}

TEST_F(ProduceServiceTest, ACompactedTopicRefusesRecordsWithoutAKey) {
  cluster::TopicConfig config;
  config.cleanup_policy = cluster::CleanupPolicy::kCompact;
  hub_.catalog.SetTopic("latest", 1, config);
  naru::v1::ProduceRequest request = RequestFor("latest", {"a", "b"});
  request.mutable_batch()->mutable_records(0)->set_key("");
  const CallEnd end = hub_.Produce(request);
  EXPECT_EQ(end.code, grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(end.reason, "INVALID_FIELD");
  EXPECT_THAT(end.message, HasSubstr("batch.records.key"));
  EXPECT_EQ(hub_.EndOffset("latest", 0), 0);
  request.mutable_batch()->mutable_records(1)->set_key("k");
  EXPECT_EQ(hub_.Produce(request).code, grpc::StatusCode::OK) << "an empty key is a key";
}

TEST_F(ProduceServiceTest, TopicsTakeTheirTurnsApart) {
  hub_.catalog.SetTopic("other", 3);
  MustProduce(RequestFor("orders", {"a"}));
  MustProduce(RequestFor("other", {"b"}));
  EXPECT_EQ(hub_.EndOffset("orders", 0), 1);
  EXPECT_EQ(hub_.EndOffset("other", 0), 1);
}

TEST_F(ProduceServiceTest, APartitionKeyPlacesTheWholeBatchAsARecordsKeyWould) {
  naru::v1::ProduceRequest request = RequestFor("orders", {"a", "b"});
  request.mutable_batch()->mutable_records(0)->set_key("ignored");
  request.set_partition_key("customer-17");
  const naru::v1::ProduceResponse response = MustProduce(request);
  ASSERT_EQ(response.results_size(), 1);
  EXPECT_EQ(response.results(0).partition(), PartitionForKey("customer-17", 3).value());
}

TEST_F(ProduceServiceTest, KeyedRecordsGoToTheirKeysPartitionsAndKeylessOnesTogether) {
  naru::v1::ProduceRequest request;
  request.set_topic("orders");
  for (int i = 0; i < 30; ++i) {
    naru::v1::Record& record = *request.mutable_batch()->add_records();
    record.set_value(std::to_string(i));
    if (i % 3 != 0) record.set_key("k" + std::to_string(i));
  }
  const naru::v1::ProduceResponse response = MustProduce(request);
  ASSERT_EQ(response.results_size(), 3);
  std::set<uint32_t> seen;
  for (const naru::v1::PartitionProduceResult& result : response.results()) {
    const std::vector<std::string> stored = Stored(hub_, "orders", result.partition());
    ASSERT_THAT(stored, SizeIs(result.record_indexes_size()));
    for (int i = 0; i < result.record_indexes_size(); ++i) {
      const uint32_t index = result.record_indexes(i);
      EXPECT_TRUE(seen.insert(index).second);
      EXPECT_EQ(stored[i], std::to_string(index));
      const naru::v1::Record& sent = request.batch().records(index);
      const int expected = sent.has_key() ? PartitionForKey(sent.key(), 3).value() : 0;
      EXPECT_EQ(result.partition(), expected);
    }
    EXPECT_EQ(result.next_offset() - result.base_offset(), result.record_indexes_size());
  }
  EXPECT_THAT(seen, SizeIs(30));
}

TEST_F(ProduceServiceTest, ACompressedBatchIsSplitByKeyAndStaysCompressed) {
  naru::v1::RecordBatch plain;
  for (int i = 0; i < 20; ++i) {
    naru::v1::Record& record = *plain.add_records();
    record.set_key("k" + std::to_string(i));
    record.set_value(std::string(200, 'x'));
  }
  naru::v1::ProduceRequest request;
  request.set_topic("orders");
  request.mutable_batch()->set_compression(naru::v1::COMPRESSION_ZSTD);
  request.mutable_batch()->set_record_count(20);
  request.mutable_batch()->set_compressed(*Compress(Codec::kZstd, plain.SerializeAsString()));
  const naru::v1::ProduceResponse response = MustProduce(request);
  EXPECT_EQ(response.results_size(), 3);
  naru::v1::FetchRequest fetch;
  fetch.set_topic("orders");
  fetch.set_delivery(naru::v1::DELIVERY_STORED_BATCHES);
  naru::v1::FetchResponse fetched;
  ASSERT_EQ(hub_.Fetch(fetch, &fetched).code, grpc::StatusCode::OK);
  ASSERT_EQ(fetched.batches_size(), 1);
  EXPECT_EQ(fetched.batches(0).batch().compression(), naru::v1::COMPRESSION_ZSTD);
  EXPECT_THAT(Stored(hub_, "orders", 0), SizeIs(fetched.batches(0).next_offset()));
}

TEST_F(ProduceServiceTest, AnUnsplitBatchIsStoredAsItCame) {
  naru::v1::ProduceRequest request = RequestFor("orders", {"a"});
  request.set_partition(0);
  naru::v1::Header& header = *request.mutable_batch()->mutable_records(0)->add_headers();
  header.set_key("trace");
  header.set_value("1");
  request.mutable_batch()
      ->mutable_records(0)
      ->GetReflection()
      ->MutableUnknownFields(request.mutable_batch()->mutable_records(0))
      ->AddVarint(99, 7);
  MustProduce(request);
  naru::v1::FetchRequest fetch;
  fetch.set_topic("orders");
  fetch.set_delivery(naru::v1::DELIVERY_STORED_BATCHES);
  naru::v1::FetchResponse fetched;
  ASSERT_EQ(hub_.Fetch(fetch, &fetched).code, grpc::StatusCode::OK);
  ASSERT_EQ(fetched.batches_size(), 1);
  EXPECT_EQ(fetched.batches(0).batch().SerializeAsString(), request.batch().SerializeAsString());
}

TEST_F(ProduceServiceTest, AnExpectedOffsetThatIsTheEndAppendsAndAnotherSaysWhatTheEndIs) {
  naru::v1::ProduceRequest request = RequestFor("orders", {"a"});
  request.set_partition(1);
  request.set_expected_offset(0);
  MustProduce(request);
  const CallEnd end = hub_.Produce(request);
  EXPECT_EQ(end.code, grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(end.reason, "EXPECTED_OFFSET_MISMATCH");
  EXPECT_EQ(end.metadata.at("end_offset"), "1");
  EXPECT_EQ(hub_.EndOffset("orders", 1), 1);
}

TEST_F(ProduceServiceTest, WhoDoesNotWantToBeForwardedIsToldTheLeader) {
  hub_.catalog.SetLeader("orders", 0, BrokerId(1), LeaderEpoch(3));
  hub_.catalog.SetLeader("orders", 1, BrokerId(2), LeaderEpoch(7));
  naru::v1::ProduceRequest request = RequestFor("orders", {"a"});
  request.set_leader_epoch(3);
  EXPECT_EQ(hub_.Produce(request).reason, "INVALID_FIELD") << "of which partition?";
  request.set_partition(0);
  MustProduce(request);
  request.set_leader_epoch(2);
  CallEnd end = hub_.Produce(request);
  EXPECT_EQ(end.code, grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(end.reason, "NOT_LEADER") << "it leads, but in another epoch";
  EXPECT_EQ(end.metadata.at("leader"), "1");
  EXPECT_EQ(end.metadata.at("leader_epoch"), "3");
  request.set_partition(1);
  request.set_leader_epoch(7);
  end = hub_.Produce(request);
  EXPECT_EQ(end.reason, "NOT_LEADER");
  EXPECT_EQ(end.metadata.at("leader"), "2");
  EXPECT_EQ(end.metadata.at("address"), "hub-2:9410");
  EXPECT_EQ(hub_.EndOffset("orders", 1), 0);
  hub_.catalog.SetLeader("orders", 1, BrokerId(0), LeaderEpoch(8));
  EXPECT_EQ(hub_.Produce(request).reason, "NO_LEADER");
}

TEST_F(ProduceServiceTest, TheAnswerNamesTheLeaderWhereAnotherBrokerLeads) {
  hub_.catalog.SetLeader("orders", 0, BrokerId(1), LeaderEpoch(3));
  hub_.catalog.SetLeader("orders", 1, BrokerId(2), LeaderEpoch(7));
  naru::v1::ProduceRequest request = RequestFor("orders", {"a"});
  for (const auto& [partition, leader] : {std::pair(0, 0), std::pair(1, 2)}) {
    request.set_partition(partition);
    naru::v1::ProduceResponse response;
    ASSERT_EQ(hub_.Produce(request, &response).code, grpc::StatusCode::OK);
    EXPECT_EQ(response.results(0).leader(), leader);
  }
}

TEST_F(ProduceServiceTest, AnExpectedOffsetWorksWithAPartitionKey) {
  naru::v1::ProduceRequest request = RequestFor("orders", {"a"});
  request.set_partition_key("k");
  request.set_expected_offset(0);
  MustProduce(request);
}

TEST_F(ProduceServiceTest, ATopicIdGuardsAgainstATopicMadeAgain) {
  naru::v1::ProduceRequest request = RequestFor("orders", {"a"});
  request.set_topic_id(hub_.catalog.Topic("orders")->topic_id);
  MustProduce(request);
  hub_.catalog.SetTopic("orders", 3);
  const CallEnd end = hub_.Produce(request);
  EXPECT_EQ(end.code, grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(end.reason, "TOPIC_ID_MISMATCH");
}

TEST_F(ProduceServiceTest, AnUnknownTopicNamesTheCommandThatCreatesIt) {
  const CallEnd end = hub_.Produce(RequestFor("missing", {"a"}));
  EXPECT_EQ(end.code, grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(end.reason, "TOPIC_NOT_FOUND");
  EXPECT_THAT(end.message, HasSubstr("naru topic create"));
}

TEST_F(ProduceServiceTest, ATopicsOwnRecordLimitHolds) {
  cluster::TopicConfig config;
  config.record_bytes_max = 100;
  hub_.catalog.SetTopic("small", 1, config);
  MustProduce(RequestFor("small", {std::string(90, 'x')}));
  const CallEnd end = hub_.Produce(RequestFor("small", {std::string(100, 'x')}));
  EXPECT_EQ(end.reason, "RECORD_TOO_LARGE");
  EXPECT_EQ(end.metadata.at("limit_bytes"), "100");
}

TEST_F(ProduceServiceTest, ACallWaitsForDurability) {
  hub_.store.HoldDurability(true);
  naru::v1::ProduceRequest request = RequestFor("orders", {"a"});
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(200));
  naru::v1::ProduceResponse response;
  EXPECT_EQ(hub_.producer->Produce(&context, request, &response).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST_F(ProduceServiceTest, AcksNoneIsAnsweredOnceAcceptedAndHasNoResults) {
  hub_.store.HoldDurability(true);
  naru::v1::ProduceRequest request = RequestFor("orders", {"a"});
  request.set_acks(naru::v1::ACKS_NONE);
  EXPECT_THAT(MustProduce(request).results(), IsEmpty());
  hub_.store.HoldDurability(false);
  EXPECT_THAT(Stored(hub_, "orders", 0), ElementsAre("a"));
}

TEST_F(ProduceServiceTest, AFullDiskRefusesAndReadsGoOn) {
  MustProduce(RequestFor("orders", {"a"}));
  hub_.store.SetStorageFull(true);
  const CallEnd end = hub_.Produce(RequestFor("orders", {"b"}));
  EXPECT_EQ(end.code, grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(end.reason, "STORAGE_FULL");
  EXPECT_THAT(Stored(hub_, "orders", 0), ElementsAre("a"));
  hub_.store.SetStorageFull(false);
  MustProduce(RequestFor("orders", {"b"}));
}

TEST_F(ProduceServiceTest, ASplitBatchWithOneFailedPartAnswersForEachPart) {
  // One of the topic's logs is gone, which the catalog does not know yet.
  naru::v1::ProduceRequest request;
  request.set_topic("orders");
  for (int i = 0; i < 12; ++i) request.mutable_batch()->add_records()->set_key("k" + std::to_string(i));
  hub_.store.DeleteLogs({hub_.catalog.Log("orders", 1)}, [](absl::Status) {});
  const naru::v1::ProduceResponse response = MustProduce(request);
  ASSERT_EQ(response.results_size(), 3);
  for (const naru::v1::PartitionProduceResult& result : response.results()) {
    EXPECT_GT(result.record_indexes_size(), 0);
    EXPECT_EQ(result.has_error(), result.partition() == 1);
    if (!result.has_error()) continue;
    EXPECT_EQ(result.error().reason(), "PARTITION_NOT_FOUND");
    EXPECT_EQ(result.error().code(), grpc::StatusCode::NOT_FOUND);
    EXPECT_EQ(result.next_offset(), 0);
  }
}

TEST_F(ProduceServiceTest, ASplitBatchThatFailsEverywhereForOneReasonFailsTheCall) {
  naru::v1::ProduceRequest request;
  request.set_topic("orders");
  for (int i = 0; i < 12; ++i) request.mutable_batch()->add_records()->set_key("k" + std::to_string(i));
  hub_.store.SetStorageFull(true);
  EXPECT_EQ(hub_.Produce(request).reason, "STORAGE_FULL");
}

TEST_F(ProduceServiceTest, AfterShutdownEveryCallFailsWithShuttingDown) {
  hub_.produce.Shutdown();
  const CallEnd end = hub_.Produce(RequestFor("orders", {"a"}));
  EXPECT_EQ(end.code, grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(end.reason, "SHUTTING_DOWN");
  EXPECT_EQ(hub_.EndOffset("orders", 0), 0);
}

TEST_F(ProduceServiceTest, CountersFollowWhatHappened) {
  MustProduce(RequestFor("orders", {"a", "b"}));
  hub_.Produce(RequestFor("missing", {"a"}));
  ASSERT_TRUE(WaitFor([&] { return hub_.produce.Counters().inflight == 0; }));
  const ProduceSnapshot counters = hub_.produce.Counters();
  EXPECT_EQ(counters.calls, 2);
  EXPECT_EQ(counters.records, 2);
  EXPECT_GT(counters.bytes, 0);
  EXPECT_EQ(counters.errors[static_cast<size_t>(Reason::kTopicNotFound)], 1);
  EXPECT_EQ(counters.memory_used_bytes, 0);
  int64_t acks = 0;
  for (const int64_t count : counters.ack.counts) acks += count;
  EXPECT_EQ(acks, 1);
}

// A store that hangs: what waits for it is bounded, and counted until the store answers.
TEST(ProduceMemoryTest, CallsBeyondTheMemoryBoundAreRefusedAndTheBoundIsFreeAgainAfterwards) {
  ProduceOptions options;
  options.batch_bytes_max = 64 << 10;
  options.memory_bytes = 64 << 10;
  Hub hub(options);
  hub.catalog.SetTopic("t", 1);
  hub.store.HoldDurability(true);
  naru::v1::ProduceRequest request = RequestFor("t", {std::string(20 << 10, 'x')});
  request.set_acks(naru::v1::ACKS_NONE);
  std::vector<std::string> reasons;
  for (int i = 0; i < 5; ++i) reasons.push_back(hub.Produce(request).reason);
  EXPECT_THAT(reasons, ElementsAre("", "", "", "TOO_MANY_IN_FLIGHT", "TOO_MANY_IN_FLIGHT"));
  EXPECT_EQ(hub.EndOffset("t", 0), 3);
  EXPECT_LE(hub.produce.Counters().memory_used_bytes, options.memory_bytes + 4096);
  hub.store.HoldDurability(false);
  EXPECT_TRUE(WaitFor([&] { return hub.produce.Counters().memory_used_bytes == 0; }));
  EXPECT_EQ(hub.Produce(request).reason, "");
}

TEST(ProduceOptionsTest, OptionsOutOfRangeAreNamed) {
  ProduceOptions options;
  EXPECT_TRUE(options.Validate().ok());
  options.memory_bytes = options.batch_bytes_max - 1;
  EXPECT_THAT(std::string(options.Validate().message()), HasSubstr("produce.memory_bytes"));
}

TEST_F(ProduceServiceTest, ATopicDeletedBeforeTheAppendIsNamedInTheError) {
  hub_.appends.Hold();
  auto end = std::async(std::launch::async, [&] { return hub_.Produce(RequestFor("orders", {"a"})); });
  ASSERT_TRUE(hub_.appends.AwaitWaiting(1));
  hub_.catalog.Delete("orders");
  hub_.appends.LetThrough();
  const CallEnd seen = end.get();
  EXPECT_EQ(seen.reason, "TOPIC_NOT_FOUND");
  EXPECT_EQ(seen.message, "topic \"orders\" was deleted");
  EXPECT_EQ(seen.metadata.at("topic"), "orders");
}

}  // namespace
}  // namespace naru::services
