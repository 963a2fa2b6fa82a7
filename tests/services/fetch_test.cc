// Fetch over a real connection.
#include <future>
#include <vector>

#include "gmock/gmock.h"
#include "services/consume/consume_service.h"
#include "services/consume/fetch_plan.h"
#include "storage/base/crc32c.h"
#include "storage/batch/compression.h"
#include "tests/services/hub.h"

namespace naru::services {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class FetchTest : public ::testing::Test {
 protected:
  void SetUp() override { hub_.catalog.SetTopic("t", 2); }

  naru::v1::FetchRequest From(int64_t offset) {
    naru::v1::FetchRequest request;
    request.set_topic("t");
    request.set_offset(offset);
    return request;
  }
  naru::v1::FetchResponse MustFetch(const naru::v1::FetchRequest& request) {
    naru::v1::FetchResponse response;
    const CallEnd end = hub_.Fetch(request, &response);
    EXPECT_EQ(end.code, grpc::StatusCode::OK) << end.message;
    return response;
  }
  // A fetch that is under way on the server when this returns.
  std::future<naru::v1::FetchResponse> FetchInBackground(const naru::v1::FetchRequest& request) {
    auto answer = std::async(std::launch::async, [this, request] { return MustFetch(request); });
    EXPECT_TRUE(WaitFor([&] { return hub_.consume.Counters().fetches_open == 1; }));
    return answer;
  }

  Hub hub_;
};

TEST_F(FetchTest, RecordsComeWithTheirOffsetsAndTimestamps) {
  hub_.Append("t", 0, {"a", "b"}, 1000);
  hub_.Append("t", 0, {"c"});
  const naru::v1::FetchResponse response = MustFetch(From(0));
  EXPECT_THAT(Values(response.records()), ElementsAre("a", "b", "c"));
  EXPECT_EQ(response.records(0).offset(), 0);
  EXPECT_EQ(response.records(2).offset(), 2);
  EXPECT_EQ(response.records(1).timestamp_ms(), 1001);
  EXPECT_GT(response.records(2).timestamp_ms(), 1'600'000'000'000) << "the append time";
  EXPECT_EQ(response.partition(), 0);
  EXPECT_EQ(response.next_offset(), 3);
  EXPECT_EQ(response.high_watermark(), 3);
  EXPECT_EQ(response.log_start_offset(), 0);
  EXPECT_EQ(response.topic_id(), hub_.catalog.Topic("t")->topic_id);
  EXPECT_THAT(response.batches(), IsEmpty());
}

TEST_F(FetchTest, WhoDoesNotWantToBeForwardedIsToldTheLeader) {
  hub_.Append("t", 0, {"a"});
  hub_.catalog.SetLeader("t", 0, BrokerId(2), LeaderEpoch(4));
  naru::v1::FetchRequest request = From(0);
  EXPECT_EQ(MustFetch(request).leader(), 2) << "read there by this broker";
  request.set_leader_epoch(4);
  naru::v1::FetchResponse response;
  const CallEnd end = hub_.Fetch(request, &response);
  EXPECT_EQ(end.code, grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(end.reason, "NOT_LEADER");
  EXPECT_EQ(end.metadata.at("address"), "hub-2:9410");
  hub_.catalog.SetLeader("t", 0, BrokerId(1), LeaderEpoch(5));
  request.set_leader_epoch(5);
  EXPECT_EQ(MustFetch(request).leader(), 0);
  request.set_leader_epoch(-1);
  EXPECT_EQ(hub_.Fetch(request, &response).reason, "INVALID_FIELD");
}

TEST_F(FetchTest, ReadingRemovesNothing) {
  hub_.Append("t", 0, {"a"});
  EXPECT_THAT(Values(MustFetch(From(0)).records()), ElementsAre("a"));
  EXPECT_THAT(Values(MustFetch(From(0)).records()), ElementsAre("a"));
}

TEST_F(FetchTest, TheFirstRecordIsTheOneAskedForAlsoInTheMiddleOfABatch) {
  hub_.Append("t", 0, {"a", "b", "c", "d"});
  const naru::v1::FetchResponse response = MustFetch(From(2));
  EXPECT_THAT(Values(response.records()), ElementsAre("c", "d"));
  EXPECT_EQ(response.records(0).offset(), 2);
}

TEST_F(FetchTest, TheMiddleOfACompressedBatchIsDeliveredAsPlainRecords) {
  naru::v1::RecordBatch plain;
  for (int i = 0; i < 10; ++i) plain.add_records()->set_value(std::to_string(i));
  naru::v1::ProduceRequest produce;
  produce.set_topic("t");
  produce.set_partition(0);
  produce.mutable_batch()->set_compression(naru::v1::COMPRESSION_LZ4);
  produce.mutable_batch()->set_record_count(10);
  produce.mutable_batch()->set_compressed(*Compress(Codec::kLz4, plain.SerializeAsString()));
  ASSERT_EQ(hub_.Produce(produce).code, grpc::StatusCode::OK);
  EXPECT_THAT(Values(MustFetch(From(7)).records()), ElementsAre("7", "8", "9"));
}

TEST_F(FetchTest, StartsAtTheEarliestTheLatestAndATime) {
  hub_.Append("t", 0, {"a", "b", "c"}, 1000);
  naru::v1::FetchRequest request;
  request.set_topic("t");
  EXPECT_EQ(MustFetch(request).records_size(), 3) << "earliest is the default";
  request.set_position(naru::v1::POSITION_EARLIEST);
  EXPECT_EQ(MustFetch(request).records_size(), 3);
  request.set_timestamp_ms(1001);
  EXPECT_THAT(Values(MustFetch(request).records()), ElementsAre("b", "c"));
  request.set_position(naru::v1::POSITION_LATEST);
  const naru::v1::FetchResponse latest = MustFetch(request);
  EXPECT_THAT(latest.records(), IsEmpty());
  EXPECT_EQ(latest.next_offset(), 3);
  request.set_timestamp_ms(5000);
  EXPECT_EQ(MustFetch(request).next_offset(), 3) << "no record is that late";
}

TEST_F(FetchTest, AnEndOffsetBoundsTheAnswerAndIsAnsweredAtOnce) {
  hub_.Append("t", 0, {"a", "b", "c"});
  naru::v1::FetchRequest request = From(0);
  request.set_end_offset(2);
  request.set_max_wait_ms(60'000);
  request.set_min_bytes(1'000'000);
  naru::v1::FetchResponse response = MustFetch(request);
  EXPECT_THAT(Values(response.records()), ElementsAre("a", "b"));
  EXPECT_EQ(response.next_offset(), 2);
  request.set_offset(2);
  response = MustFetch(request);
  EXPECT_THAT(response.records(), IsEmpty());
  EXPECT_EQ(response.next_offset(), 2);
  EXPECT_EQ(response.high_watermark(), 3);
}

TEST_F(FetchTest, AnOffsetOutsideTheLogSaysWhereItBeginsAndEnds) {
  hub_.Append("t", 0, {"a", "b", "c"});
  hub_.store.MoveLogStart(hub_.catalog.Log("t", 0), Offset(1), [](absl::Status) {});
  for (const int64_t offset : {0, 4, -1}) {
    for (const bool empty_range : {false, true}) {
      naru::v1::FetchRequest request = From(offset);
      if (empty_range) request.set_end_offset(0);
      const CallEnd end = hub_.Fetch(request);
      EXPECT_EQ(end.code, grpc::StatusCode::OUT_OF_RANGE) << offset;
      EXPECT_EQ(end.reason, "OFFSET_OUT_OF_RANGE");
      EXPECT_EQ(end.metadata.at("log_start_offset"), "1");
      EXPECT_EQ(end.metadata.at("high_watermark"), "3");
      if (offset == -1) break;  // below end_offset 0
    }
  }
  EXPECT_EQ(MustFetch(From(3)).next_offset(), 3);
}

TEST_F(FetchTest, ALongPollIsAnsweredWhenRecordsCome) {
  naru::v1::FetchRequest request = From(0);
  request.set_max_wait_ms(60'000);
  auto answer = FetchInBackground(request);
  hub_.Append("t", 0, {"a"});
  EXPECT_THAT(Values(answer.get().records()), ElementsAre("a"));
}

TEST_F(FetchTest, ALongPollDoesNotSeeWhatIsNotDurable) {
  hub_.store.HoldDurability(true);
  naru::v1::ProduceRequest produce = RequestFor("t", {"a"});
  produce.set_partition(0);
  produce.set_acks(naru::v1::ACKS_NONE);
  ASSERT_EQ(hub_.Produce(produce).code, grpc::StatusCode::OK);
  naru::v1::FetchRequest request = From(0);
  request.set_max_wait_ms(60'000);
  EXPECT_THAT(MustFetch(From(0)).records(), IsEmpty());
  ASSERT_TRUE(WaitFor([&] { return hub_.consume.Counters().fetches_open == 0; }));
  auto answer = FetchInBackground(request);
  hub_.store.HoldDurability(false);
  EXPECT_THAT(Values(answer.get().records()), ElementsAre("a"));
}

TEST_F(FetchTest, ALongPollWithoutRecordsEndsEmptyAfterItsWait) {
  naru::v1::FetchRequest request = From(0);
  request.set_max_wait_ms(30);
  const auto begun = std::chrono::steady_clock::now();
  const naru::v1::FetchResponse response = MustFetch(request);
  EXPECT_GE(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(29));
  EXPECT_THAT(response.records(), IsEmpty());
  EXPECT_EQ(response.next_offset(), 0);
}

TEST_F(FetchTest, AWaitIsShortenedToEndBeforeTheDeadline) {
  naru::v1::FetchRequest request = From(0);
  request.set_max_wait_ms(60'000);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(400));
  naru::v1::FetchResponse response;
  EXPECT_TRUE(hub_.consumer->Fetch(&context, request, &response).ok());
}

TEST_F(FetchTest, MinBytesGathersSeveralAppends) {
  naru::v1::FetchRequest request = From(0);
  request.set_max_wait_ms(60'000);
  request.set_min_bytes(250);
  auto answer = FetchInBackground(request);
  for (int i = 0; i < 3; ++i) hub_.Append("t", 0, {std::string(90, 'x')});
  const naru::v1::FetchResponse response = answer.get();
  EXPECT_THAT(response.records(), SizeIs(3));
  EXPECT_EQ(response.next_offset(), 3);
}

TEST_F(FetchTest, WhatIsThereIsAnsweredWhenMinBytesIsNotReachedInTime) {
  hub_.Append("t", 0, {"a"});
  naru::v1::FetchRequest request = From(0);
  request.set_max_wait_ms(30);
  request.set_min_bytes(1'000'000);
  EXPECT_THAT(Values(MustFetch(request).records()), ElementsAre("a"));
}

TEST_F(FetchTest, WhatWasThereBeforeIsAnsweredTogetherWithWhatWasWaitedFor) {
  hub_.Append("t", 0, {"a", "b"});
  naru::v1::FetchRequest request = From(1);
  request.set_max_wait_ms(60'000);
  request.set_max_records(4);
  request.set_min_bytes(1'000'000);
  auto answer = FetchInBackground(request);
  for (const char* value : {"c", "d", "e"}) hub_.Append("t", 0, {value});
  EXPECT_THAT(Values(answer.get().records()), ElementsAre("b", "c", "d", "e")) << "as many as it may be";
}

TEST_F(FetchTest, FetchesHoldNoMemoryWhileTheyWaitForMore) {
  constexpr int kFetches = 20;
  ConsumeOptions options;
  options.memory_bytes = 8 << 20;
  Hub hub({}, options);
  hub.catalog.SetTopic("t", 2);
  hub.Append("t", 1, {"small"});
  for (int i = 0; i < 3; ++i) hub.Append("t", 0, {std::string(500'000, 'x')});
  naru::v1::FetchRequest request = From(0);
  request.set_max_wait_ms(60'000);
  request.set_min_bytes(1'800'000);
  const int64_t reads = hub.appends.reads();
  std::vector<std::future<naru::v1::FetchResponse>> answers;
  for (int i = 0; i < kFetches; ++i) {
    answers.push_back(std::async(std::launch::async, [&] {
      naru::v1::FetchResponse response;
      EXPECT_EQ(hub.Fetch(request, &response).code, grpc::StatusCode::OK);
      return response;
    }));
  }
  ASSERT_TRUE(hub.appends.AwaitReads(reads + kFetches));
  EXPECT_TRUE(WaitFor([&] { return hub.consume.Counters().memory_used_bytes == 0; }));
  EXPECT_THAT(Stored(hub, "t", 1), ElementsAre("small"));
  EXPECT_GE(hub.consume.Counters().fetches_open, kFetches);
  hub.Append("t", 0, {std::string(500'000, 'y')});
  for (auto& answer : answers) EXPECT_THAT(answer.get().records(), SizeIs(4));
}

TEST_F(FetchTest, MaxRecordsAndMaxBytesCutAtARecord) {
  hub_.Append("t", 0, {"a", "b", "c"});
  for (int i = 0; i < 20; ++i) hub_.Append("t", 1, {std::string(1000, 'x'), std::string(1000, 'y')});
  naru::v1::FetchRequest request = From(0);
  request.set_max_records(2);
  naru::v1::FetchResponse response = MustFetch(request);
  EXPECT_THAT(Values(response.records()), ElementsAre("a", "b"));
  EXPECT_EQ(response.next_offset(), 2);
  request = From(1);
  request.set_partition(1);
  request.set_max_bytes(10'000);
  response = MustFetch(request);
  EXPECT_LE(response.ByteSizeLong(), 10'000u);
  EXPECT_GE(response.records_size(), 6);
  EXPECT_EQ(response.next_offset(), 1 + response.records_size());
  request.set_max_bytes(1);
  response = MustFetch(request);
  EXPECT_THAT(response.records(), SizeIs(1)) << "one record is delivered whatever its size";
}

TEST_F(FetchTest, AnAnswerNeverPassesTheBrokersBound) {
  for (int i = 0; i < 5; ++i) hub_.Append("t", 0, {std::string(1'000'000, 'x')});
  naru::v1::FetchRequest request = From(0);
  request.set_max_bytes(100'000'000);
  const naru::v1::FetchResponse response = MustFetch(request);
  EXPECT_THAT(response.records(), SizeIs(3));
  EXPECT_LE(response.ByteSizeLong(), 3'670'016u);
}

TEST_F(FetchTest, StoredBatchesComeVerbatimWithTheBrokersFacts) {
  hub_.Append("t", 0, {"a", "b"});
  hub_.Append("t", 0, {"c"});
  naru::v1::FetchRequest request = From(1);
  request.set_delivery(naru::v1::DELIVERY_STORED_BATCHES);
  const naru::v1::FetchResponse response = MustFetch(request);
  ASSERT_EQ(response.batches_size(), 2);
  EXPECT_THAT(response.records(), IsEmpty());
  const naru::v1::StoredBatch& batch = response.batches(0);
  EXPECT_EQ(batch.base_offset(), 0) << "it may begin before the offset asked for";
  EXPECT_EQ(batch.next_offset(), 2);
  EXPECT_GT(batch.append_time_ms(), 0);
  EXPECT_EQ(batch.crc32c(), Crc32c(batch.batch().SerializeAsString()));
  EXPECT_THAT(Values(batch.batch().records()), ElementsAre("a", "b"));
  EXPECT_EQ(response.next_offset(), 3);
}

TEST_F(FetchTest, StoredBatchesThatReachOverTheEndOffsetGoOnFromTheEndOffset) {
  hub_.Append("t", 0, {"a", "b", "c"});
  naru::v1::FetchRequest request = From(0);
  request.set_end_offset(2);
  request.set_delivery(naru::v1::DELIVERY_STORED_BATCHES);
  const naru::v1::FetchResponse response = MustFetch(request);
  EXPECT_THAT(response.batches(), SizeIs(1));
  EXPECT_EQ(response.next_offset(), 2);
}

TEST_F(FetchTest, ATopicWithAppendTimesDeliversThoseWhateverWasSent) {
  cluster::TopicConfig config;
  config.append_time_stamped = true;
  hub_.catalog.SetTopic("stamped", 1, config);
  hub_.Append("stamped", 0, {"a"}, 5);
  naru::v1::FetchRequest request;
  request.set_topic("stamped");
  EXPECT_GT(MustFetch(request).records(0).timestamp_ms(), 1'600'000'000'000);
}

TEST_F(FetchTest, WhatCannotBeReadIsDataLossAndOtherPositionsAreNotAffected) {
  hub_.Append("t", 0, {"a"});
  hub_.Append("t", 0, {"b"});
  hub_.Append("t", 0, {"c"});
  ASSERT_TRUE(hub_.store.Damage(hub_.catalog.Log("t", 0), Offset(1)));
  const CallEnd end = hub_.Fetch(From(1));
  EXPECT_EQ(end.code, grpc::StatusCode::DATA_LOSS);
  EXPECT_EQ(end.reason, "CORRUPT_DATA");
  EXPECT_THAT(Values(MustFetch(From(2)).records()), ElementsAre("c"));
}

TEST_F(FetchTest, AWaitingFetchOfADeletedTopicEnds) {
  naru::v1::FetchRequest request = From(0);
  request.set_max_wait_ms(60'000);
  auto end = std::async(std::launch::async, [&] { return hub_.Fetch(request); });
  ASSERT_TRUE(WaitFor([&] { return hub_.consume.Counters().fetches_open == 1; }));
  hub_.catalog.Delete("t");
  EXPECT_EQ(end.get().reason, "TOPIC_NOT_FOUND");
}

TEST_F(FetchTest, ATopicDeletedWhileItIsReadIsNamedInTheError) {
  hub_.appends.BeforeRead([&] { hub_.catalog.Delete("t"); });
  const CallEnd end = hub_.Fetch(From(0));
  EXPECT_EQ(end.code, grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(end.reason, "TOPIC_NOT_FOUND");
  EXPECT_EQ(end.message, "topic \"t\" was deleted");
  EXPECT_EQ(end.metadata.at("topic"), "t");
}

TEST_F(FetchTest, RetentionThatPassesTheRecordFoundByTimeMovesTheStart) {
  hub_.Append("t", 0, {"a"}, 1000);
  hub_.Append("t", 0, {"b"}, 2000);
  hub_.appends.BeforeRead(
      [&] { hub_.store.MoveLogStart(hub_.catalog.Log("t", 0), Offset(1), [](absl::Status) {}); });
  naru::v1::FetchRequest request = From(0);
  request.set_timestamp_ms(1000);
  EXPECT_THAT(Values(MustFetch(request).records()), ElementsAre("b"));
}

TEST_F(FetchTest, ACancelledFetchLeavesNothingBehind) {
  naru::v1::FetchRequest request = From(0);
  request.set_max_wait_ms(60'000);
  grpc::ClientContext context;
  auto status = std::async(std::launch::async, [&] {
    naru::v1::FetchResponse response;
    return hub_.consumer->Fetch(&context, request, &response);
  });
  ASSERT_TRUE(WaitFor([&] { return hub_.consume.Counters().fetches_open == 1; }));
  context.TryCancel();
  EXPECT_EQ(status.get().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(WaitFor([&] { return hub_.consume.Counters().fetches_open == 0; }));
  hub_.Append("t", 0, {"a"});
}

TEST_F(FetchTest, ShutdownAnswersWaitingFetchesAndRefusesNewOnes) {
  naru::v1::FetchRequest request = From(0);
  request.set_max_wait_ms(60'000);
  auto answer = FetchInBackground(request);
  hub_.consume.Shutdown();
  // A fetch that had not begun to wait is refused instead, which MustFetch would report: it has, by its
  // watch.
  answer.wait();
  const CallEnd end = hub_.Fetch(From(0));
  EXPECT_EQ(end.code, grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(end.reason, "SHUTTING_DOWN");
}

TEST_F(FetchTest, MemoryIsGivenBackWhenTheAnswersAreGone) {
  for (int i = 0; i < 5; ++i) hub_.Append("t", 0, {std::string(500'000, 'x')});
  for (int i = 0; i < 20; ++i) {
    naru::v1::FetchRequest request = From(0);
    if (i % 2 == 1) request.set_delivery(naru::v1::DELIVERY_STORED_BATCHES);
    MustFetch(request);
  }
  EXPECT_TRUE(WaitFor([&] { return hub_.consume.Counters().memory_used_bytes == 0; }));
  EXPECT_EQ(hub_.consume.Counters().fetches, 20);
}

TEST(WaitBeforeDeadlineTest, TheWaitEndsBeforeTheDeadlineAndNeverBelowZero) {
  using std::chrono::hours;
  using std::chrono::milliseconds;
  EXPECT_EQ(WaitBeforeDeadline(milliseconds(100), hours(1)), milliseconds(100));
  EXPECT_EQ(WaitBeforeDeadline(milliseconds(1000), milliseconds(1000)), milliseconds(900));
  EXPECT_EQ(WaitBeforeDeadline(milliseconds(60'000), milliseconds(10'000)), milliseconds(9'800));
  EXPECT_EQ(WaitBeforeDeadline(milliseconds(1000), milliseconds(3)), milliseconds(0));
  EXPECT_EQ(WaitBeforeDeadline(milliseconds(1000), milliseconds(-5)), milliseconds(0));
}

}  // namespace
}  // namespace naru::services
