// Stamped batches over a real connection: sent again, with gaps, of older epochs, on calls and streams.
#include "gmock/gmock.h"
#include "services/produce/produce_service.h"
#include "tests/services/hub.h"

namespace naru::services {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class IdempotentProduceTest : public ::testing::Test {
 protected:
  void SetUp() override { hub_.catalog.SetTopic("t", 3); }

  static naru::v1::ProduceRequest Stamped(int64_t epoch, int64_t base_sequence,
                                          const std::vector<std::string>& values, int64_t producer_id = 7) {
    naru::v1::ProduceRequest request = RequestFor("t", values);
    request.set_partition(0);
    naru::v1::ProducerStamp& stamp = *request.mutable_batch()->mutable_producer();
    stamp.set_producer_id(producer_id);
    stamp.set_epoch(epoch);
    stamp.set_base_sequence(base_sequence);
    return request;
  }
  naru::v1::PartitionProduceResult MustProduce(const naru::v1::ProduceRequest& request) {
    naru::v1::ProduceResponse response;
    const CallEnd end = hub_.Produce(request, &response);
    EXPECT_EQ(end.code, grpc::StatusCode::OK) << end.message;
    return response.results_size() == 1 ? response.results(0) : naru::v1::PartitionProduceResult();
  }

  Hub hub_;
};

TEST_F(IdempotentProduceTest, ABatchSentAgainIsAnsweredAsTheFirstTimeAndNotAppended) {
  for (const naru::v1::Acks acks : {naru::v1::ACKS_ALL, naru::v1::ACKS_LEADER}) {
    const int64_t producer_id = acks + 1;
    const int64_t base = hub_.EndOffset("t", 0);
    naru::v1::ProduceRequest first = Stamped(0, 0, {"a", "b"}, producer_id);
    first.set_acks(acks);
    const naru::v1::PartitionProduceResult appended = MustProduce(first);
    EXPECT_FALSE(appended.duplicate());
    EXPECT_EQ(appended.base_offset(), base);
    MustProduce(Stamped(0, 2, {"c"}, producer_id));
    const naru::v1::PartitionProduceResult again = MustProduce(first);
    EXPECT_TRUE(again.duplicate());
    EXPECT_EQ(again.base_offset(), base);
    EXPECT_EQ(again.next_offset(), base + 2);
    EXPECT_EQ(again.append_time_ms(), appended.append_time_ms());
    EXPECT_EQ(hub_.EndOffset("t", 0), base + 3);
  }
  EXPECT_THAT(Stored(hub_, "t", 0), ElementsAre("a", "b", "c", "a", "b", "c"));
  ASSERT_TRUE(WaitFor([&] { return hub_.produce.Counters().inflight == 0; }));
  EXPECT_EQ(hub_.produce.Counters().duplicates, 2);
  EXPECT_EQ(hub_.produce.Counters().records, 6) << "those that were appended";
}

TEST_F(IdempotentProduceTest, TheStampStandsInTheLogAndConsumersGetPlainRecords) {
  MustProduce(Stamped(1, 0, {"a", "b"}));
  naru::v1::FetchRequest fetch;
  fetch.set_topic("t");
  naru::v1::FetchResponse plain;
  ASSERT_EQ(hub_.Fetch(fetch, &plain).code, grpc::StatusCode::OK);
  ASSERT_EQ(plain.records_size(), 2);
  EXPECT_EQ(plain.records(1).offset(), 1);
  fetch.set_delivery(naru::v1::DELIVERY_STORED_BATCHES);
  naru::v1::FetchResponse stored;
  ASSERT_EQ(hub_.Fetch(fetch, &stored).code, grpc::StatusCode::OK);
  ASSERT_EQ(stored.batches_size(), 1);
  EXPECT_EQ(stored.batches(0).batch().SerializeAsString(),
            Stamped(1, 0, {"a", "b"}).batch().SerializeAsString());
}

TEST_F(IdempotentProduceTest, AGapIsOutOfOrderAndSaysWhatIsExpected) {
  MustProduce(Stamped(0, 0, {"a", "b"}));
  CallEnd end = hub_.Produce(Stamped(0, 3, {"d"}));
  EXPECT_EQ(end.code, grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(end.reason, "OUT_OF_ORDER_SEQUENCE");
  EXPECT_EQ(end.metadata["expected_sequence"], "2");
  EXPECT_THAT(end.message, HasSubstr("base_sequence: 3 of producer 7"));
  end = hub_.Produce(Stamped(0, 5, {"x"}, 8));
  EXPECT_EQ(end.reason, "OUT_OF_ORDER_SEQUENCE") << "of a producer that is not known";
  EXPECT_EQ(end.metadata["expected_sequence"], "0");
  EXPECT_THAT(end.message, HasSubstr("InitProducer"));
  end = hub_.Produce(Stamped(0, 0, {"a"}));
  EXPECT_EQ(end.reason, "OUT_OF_ORDER_SEQUENCE")
      << "as many records as the first time make it the same batch";
  EXPECT_THAT(Stored(hub_, "t", 0), ElementsAre("a", "b"));
}

TEST_F(IdempotentProduceTest, AnOlderEpochIsFencedAndANewOneBeginsAtZero) {
  MustProduce(Stamped(0, 0, {"a"}));
  EXPECT_EQ(hub_.Produce(Stamped(1, 1, {"b"})).reason, "OUT_OF_ORDER_SEQUENCE");
  MustProduce(Stamped(1, 0, {"b"}));
  CallEnd end = hub_.Produce(Stamped(0, 1, {"late"}));
  EXPECT_EQ(end.code, grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(end.reason, "PRODUCER_FENCED");
  EXPECT_EQ(end.metadata["producer_epoch"], "1");
  EXPECT_THAT(Stored(hub_, "t", 0), ElementsAre("a", "b"));
}

TEST_F(IdempotentProduceTest, SequencesAreEachPartitionsOwn) {
  for (int partition = 0; partition < 3; ++partition) {
    naru::v1::ProduceRequest request = Stamped(0, 0, {"v"});
    request.set_partition(partition);
    EXPECT_FALSE(MustProduce(request).duplicate());
    EXPECT_EQ(hub_.EndOffset("t", partition), 1);
  }
}

TEST_F(IdempotentProduceTest, AStampedBatchNamesItsPartition) {
  naru::v1::ProduceRequest request = Stamped(0, 0, {"v"});
  request.clear_target();
  CallEnd end = hub_.Produce(request);
  EXPECT_EQ(end.code, grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(end.reason, "INVALID_FIELD");
  EXPECT_EQ(end.metadata["field"], "partition");
  EXPECT_EQ(end.metadata["value"], "absent");
  request.set_partition_key("k");
  end = hub_.Produce(request);
  EXPECT_EQ(end.reason, "INVALID_FIELD");
  EXPECT_EQ(end.metadata["value"], "partition_key");
  request.mutable_batch()->clear_producer();
  EXPECT_EQ(hub_.Produce(request).code, grpc::StatusCode::OK);
}

TEST_F(IdempotentProduceTest, AStampThatCannotBeIsRefused) {
  naru::v1::ProduceRequest request = Stamped(0, 0, {"v"}, 0);
  CallEnd end = hub_.Produce(request);
  EXPECT_EQ(end.reason, "MALFORMED_BATCH");
  EXPECT_EQ(end.metadata["rule"], "producer");
  EXPECT_THAT(end.message, HasSubstr("batch.producer.producer_id: 0 is not allowed; 1 or more"));
  EXPECT_EQ(hub_.EndOffset("t", 0), 0);
}

// Sends on one stream, half-closes, and gives the results by id.
std::map<int64_t, naru::v1::ProduceStreamResult> Exchange(
    Hub& hub, const std::vector<naru::v1::ProduceRequest>& items) {
  grpc::ClientContext context;
  Hub::SetDeadline(context);
  const auto stream = hub.producer->ProduceStream(&context);
  for (size_t i = 0; i < items.size(); ++i) {
    naru::v1::ProduceStreamRequest request;
    request.set_id(static_cast<int64_t>(i));
    *request.mutable_produce() = items[i];
    EXPECT_TRUE(stream->Write(request));
  }
  stream->WritesDone();
  std::map<int64_t, naru::v1::ProduceStreamResult> results;
  naru::v1::ProduceStreamResponse response;
  while (stream->Read(&response)) {
    for (const auto& result : response.results()) results[result.id()] = result;
  }
  EXPECT_TRUE(stream->Finish().ok());
  return results;
}

TEST_F(IdempotentProduceTest, WhatAStreamSendsAgainIsAnsweredWithItsFirstOffsets) {
  std::vector<naru::v1::ProduceRequest> items;
  for (int i = 0; i < 5; ++i) items.push_back(Stamped(0, 2 * i, {std::to_string(i), "x"}));
  Exchange(hub_, items);
  items.push_back(Stamped(0, 10, {"new"}));
  auto results = Exchange(hub_, items);
  ASSERT_EQ(results.size(), 6u);
  for (int i = 0; i < 6; ++i) {
    ASSERT_EQ(results[i].results_size(), 1) << results[i].ShortDebugString();
    EXPECT_EQ(results[i].results(0).base_offset(), 2 * i);
    EXPECT_EQ(results[i].results(0).duplicate(), i < 5);
  }
  EXPECT_EQ(hub_.EndOffset("t", 0), 11);
}

TEST_F(IdempotentProduceTest, AGapOnAStreamFailsWhatComesBehindIt) {
  auto results = Exchange(hub_, {Stamped(0, 0, {"a"}), Stamped(0, 2, {"c"}), Stamped(0, 3, {"d"})});
  EXPECT_EQ(results[0].results(0).base_offset(), 0);
  EXPECT_EQ(results[1].error().reason(), "OUT_OF_ORDER_SEQUENCE");
  EXPECT_EQ(results[2].error().reason(), "STREAM_ITEM_SKIPPED");
  EXPECT_THAT(Stored(hub_, "t", 0), ElementsAre("a"));
}

TEST_F(IdempotentProduceTest, OfTwoCopiesUnderWayAtOnceOneIsAppended) {
  hub_.appends.Hold();
  std::vector<std::thread> calls;
  std::vector<naru::v1::ProduceResponse> responses(2);
  for (naru::v1::ProduceResponse& response : responses) {
    calls.emplace_back([this, &response] {
      EXPECT_EQ(hub_.Produce(Stamped(0, 0, {"once"}), &response).code, grpc::StatusCode::OK);
    });
  }
  ASSERT_TRUE(hub_.appends.AwaitWaiting(2));
  hub_.appends.LetThrough();
  for (std::thread& call : calls) call.join();
  EXPECT_EQ(responses[0].results(0).duplicate() + responses[1].results(0).duplicate(), 1);
  for (const auto& response : responses) EXPECT_EQ(response.results(0).base_offset(), 0);
  EXPECT_THAT(Stored(hub_, "t", 0), ElementsAre("once"));
}

}  // namespace
}  // namespace naru::services
