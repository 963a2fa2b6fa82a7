// ProduceStream over a real connection.
#include <thread>

#include "gmock/gmock.h"
#include "services/produce/produce_service.h"
#include "tests/services/hub.h"

namespace naru::services {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

// One stream, with the results that came so far in order.
class Stream {
 public:
  explicit Stream(Hub& hub) {
    Hub::SetDeadline(context_);
    stream_ = hub.producer->ProduceStream(&context_);
  }
  bool Send(const naru::v1::ProduceStreamRequest& request) { return stream_->Write(request); }
  bool Send(int64_t id, const naru::v1::ProduceRequest& produce) {
    naru::v1::ProduceStreamRequest request;
    request.set_id(id);
    *request.mutable_produce() = produce;
    return Send(request);
  }
  bool Resume(int64_t id, const std::string& topic, const std::vector<int>& partitions = {}) {
    naru::v1::ProduceStreamRequest request;
    request.set_id(id);
    request.mutable_resume()->set_topic(topic);
    for (const int partition : partitions) request.mutable_resume()->add_partitions(partition);
    return Send(request);
  }
  // The next result; waits for it.
  naru::v1::ProduceStreamResult Next() {
    while (results_.empty()) {
      naru::v1::ProduceStreamResponse response;
      if (!stream_->Read(&response)) {
        ADD_FAILURE() << "the stream ended";
        return {};
      }
      ++messages_;
      results_.assign(response.results().begin(), response.results().end());
    }
    naru::v1::ProduceStreamResult result = results_.front();
    results_.erase(results_.begin());
    return result;
  }
  void HalfClose() { stream_->WritesDone(); }
  // Half-closes, drops what is still to be read, and says how the stream ended.
  CallEnd Close() {
    stream_->WritesDone();
    return End();
  }
  CallEnd End() {
    naru::v1::ProduceStreamResponse response;
    while (stream_->Read(&response)) {
    }
    return EndOf(context_, stream_->Finish());
  }
  void Cancel() { context_.TryCancel(); }
  int messages() const { return messages_; }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<naru::v1::ProduceStreamRequest, naru::v1::ProduceStreamResponse>>
      stream_;
  std::vector<naru::v1::ProduceStreamResult> results_;
  int messages_ = 0;
};

naru::v1::ProduceRequest To(int partition, const std::string& value) {
  naru::v1::ProduceRequest request = RequestFor("t", {value});
  request.set_partition(partition);
  return request;
}

class ProduceStreamTest : public ::testing::Test {
 protected:
  void SetUp() override { hub_.catalog.SetTopic("t", 3); }
  Hub hub_;
};

TEST_F(ProduceStreamTest, ItemsOfOnePartitionAreAppendedInTheOrderSentWithoutWaiting) {
  Stream stream(hub_);
  std::vector<std::string> sent;
  for (int i = 0; i < 500; ++i) {
    sent.push_back(std::to_string(i));
    ASSERT_TRUE(stream.Send(i, To(0, sent.back())));
  }
  for (int i = 0; i < 500; ++i) {
    const naru::v1::ProduceStreamResult result = stream.Next();
    EXPECT_EQ(result.id(), i);
    ASSERT_EQ(result.results_size(), 1);
    EXPECT_EQ(result.results(0).base_offset(), i);
  }
  EXPECT_EQ(stream.Close().code, grpc::StatusCode::OK);
  EXPECT_EQ(Stored(hub_, "t", 0), sent);
}

TEST_F(ProduceStreamTest, HalfClosingAnswersEverythingThenEndsWithOk) {
  hub_.store.HoldDurability(true);
  Stream stream(hub_);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(stream.Send(i, To(i % 3, "v")));
  ASSERT_TRUE(WaitFor([&] { return hub_.store.waiting_changes() == 10; }));
  std::thread release([&] { hub_.store.HoldDurability(false); });
  std::vector<int64_t> ids;
  for (int i = 0; i < 10; ++i) ids.push_back(stream.Next().id());
  release.join();
  EXPECT_THAT(ids, UnorderedElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
  EXPECT_EQ(stream.Close().code, grpc::StatusCode::OK);
}

TEST_F(ProduceStreamTest, AnswersThatComeTogetherTravelTogether) {
  hub_.store.HoldDurability(true);
  Stream stream(hub_);
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(stream.Send(i, To(0, "v")));
  ASSERT_TRUE(WaitFor([&] { return hub_.store.waiting_changes() == 200; }));
  hub_.store.HoldDurability(false);
  for (int i = 0; i < 200; ++i) stream.Next();
  EXPECT_LT(stream.messages(), 200);
  EXPECT_EQ(stream.Close().code, grpc::StatusCode::OK);
}

TEST_F(ProduceStreamTest, AnItemForAnotherLeaderIsSkippedWithThoseBehindIt) {
  hub_.catalog.SetLeader("t", 0, BrokerId(2), LeaderEpoch(7));
  Stream stream(hub_);
  naru::v1::ProduceRequest here = To(0, "a");
  here.set_leader_epoch(7);
  ASSERT_TRUE(stream.Send(1, here));
  ASSERT_TRUE(stream.Send(2, To(0, "b")));
  std::map<int64_t, naru::v1::ProduceStreamResult> results;
  for (int i = 0; i < 2; ++i) {
    const naru::v1::ProduceStreamResult result = stream.Next();
    results[result.id()] = result;
  }
  EXPECT_EQ(results[1].error().reason(), "NOT_LEADER");
  EXPECT_EQ(results[2].error().reason(), "STREAM_ITEM_SKIPPED") << "or it would stand before the first";
  EXPECT_EQ(stream.Close().code, grpc::StatusCode::OK);
}

// The store has all items in its queue when 1 turns out wrong: those behind it must not be appended.
TEST_F(ProduceStreamTest, ItemsPipelinedBehindAFailedOneAreSkippedUntilResume) {
  hub_.appends.Hold();
  Stream stream(hub_);
  naru::v1::ProduceRequest wrong = To(0, "wrong");
  wrong.set_expected_offset(5);
  ASSERT_TRUE(stream.Send(1, wrong));
  ASSERT_TRUE(stream.Send(2, To(0, "b")));
  ASSERT_TRUE(stream.Send(3, To(1, "other")));
  ASSERT_TRUE(stream.Send(4, To(0, "c")));
  ASSERT_TRUE(hub_.appends.AwaitWaiting(4));
  hub_.appends.LetThrough();
  std::map<int64_t, naru::v1::ProduceStreamResult> results;
  for (int i = 0; i < 4; ++i) {
    const naru::v1::ProduceStreamResult result = stream.Next();
    results[result.id()] = result;
  }
  EXPECT_EQ(results[1].error().reason(), "EXPECTED_OFFSET_MISMATCH");
  EXPECT_EQ(results[1].error().metadata().at("end_offset"), "0");
  EXPECT_EQ(results[2].error().reason(), "STREAM_ITEM_SKIPPED");
  EXPECT_EQ(results[2].error().code(), grpc::StatusCode::ABORTED);
  EXPECT_FALSE(results[3].has_error());
  EXPECT_EQ(results[4].error().reason(), "STREAM_ITEM_SKIPPED");
  EXPECT_THAT(Stored(hub_, "t", 0), IsEmpty());

  ASSERT_TRUE(stream.Resume(5, "t", {0}));
  ASSERT_TRUE(stream.Send(6, To(0, "b")));
  const naru::v1::ProduceStreamResult resumed = stream.Next();
  EXPECT_EQ(resumed.id(), 5);
  EXPECT_THAT(resumed.results(), IsEmpty());
  EXPECT_FALSE(resumed.has_error());
  EXPECT_FALSE(stream.Next().has_error());
  EXPECT_THAT(Stored(hub_, "t", 0), ElementsAre("b"));
  EXPECT_EQ(stream.Close().code, grpc::StatusCode::OK);
}

// Resume speaks of failures that the client was told of. Sent before that, it must not open the way for what
// is behind a failure.
TEST_F(ProduceStreamTest, AResumeSentAheadOfAFailureChangesNothing) {
  hub_.appends.Hold();
  Stream stream(hub_);
  naru::v1::ProduceRequest wrong = To(0, "wrong");
  wrong.set_expected_offset(5);
  ASSERT_TRUE(stream.Send(1, wrong));
  ASSERT_TRUE(stream.Resume(2, "t"));
  ASSERT_TRUE(stream.Send(3, To(0, "b")));
  ASSERT_TRUE(hub_.appends.AwaitWaiting(2));
  hub_.appends.LetThrough();
  std::map<int64_t, std::string> reasons;
  for (int i = 0; i < 3; ++i) {
    const naru::v1::ProduceStreamResult result = stream.Next();
    reasons[result.id()] = result.error().reason();
  }
  EXPECT_EQ(reasons[1], "EXPECTED_OFFSET_MISMATCH");
  EXPECT_EQ(reasons[2], "");
  EXPECT_EQ(reasons[3], "STREAM_ITEM_SKIPPED");
  EXPECT_THAT(Stored(hub_, "t", 0), IsEmpty());
  EXPECT_EQ(stream.Close().code, grpc::StatusCode::OK);
}

TEST_F(ProduceStreamTest, StreamsDoNotFenceOneAnother) {
  hub_.appends.Hold();
  Stream failing(hub_);
  Stream other(hub_);
  naru::v1::ProduceRequest wrong = To(0, "wrong");
  wrong.set_expected_offset(5);
  ASSERT_TRUE(failing.Send(1, wrong));
  ASSERT_TRUE(hub_.appends.AwaitWaiting(1));
  ASSERT_TRUE(other.Send(2, To(0, "b")));
  ASSERT_TRUE(hub_.appends.AwaitWaiting(2));
  hub_.appends.LetThrough();
  EXPECT_TRUE(failing.Next().has_error());
  EXPECT_FALSE(other.Next().has_error());
  EXPECT_EQ(failing.Close().code, grpc::StatusCode::OK);
  EXPECT_EQ(other.Close().code, grpc::StatusCode::OK);
}

TEST_F(ProduceStreamTest, AMalformedItemFailsItsPartitionToo) {
  Stream stream(hub_);
  naru::v1::ProduceRequest malformed = To(0, "x");
  malformed.mutable_batch()->mutable_records(0)->set_offset(3);
  ASSERT_TRUE(stream.Send(1, malformed));
  ASSERT_TRUE(stream.Send(2, To(0, "b")));
  ASSERT_TRUE(stream.Send(3, To(1, "c")));
  EXPECT_EQ(stream.Next().error().reason(), "MALFORMED_BATCH");
  EXPECT_EQ(stream.Next().error().reason(), "STREAM_ITEM_SKIPPED");
  EXPECT_FALSE(stream.Next().has_error());
  EXPECT_EQ(stream.Close().code, grpc::StatusCode::OK);
}

// What fails before it comes to the store does not wait for what is there.
TEST_F(ProduceStreamTest, AFailureMayBeAnsweredBeforeAnEarlierAppendOfItsPartition) {
  hub_.store.HoldDurability(true);
  Stream stream(hub_);
  ASSERT_TRUE(stream.Send(1, To(0, "a")));
  ASSERT_TRUE(WaitFor([&] { return hub_.store.waiting_changes() == 1; }));
  naru::v1::ProduceRequest malformed = To(0, "x");
  malformed.mutable_batch()->mutable_records(0)->set_offset(3);
  ASSERT_TRUE(stream.Send(2, malformed));
  ASSERT_TRUE(stream.Send(3, To(0, "b")));
  const naru::v1::ProduceStreamResult failed = stream.Next();
  EXPECT_EQ(failed.id(), 2);
  EXPECT_EQ(failed.error().reason(), "MALFORMED_BATCH");
  EXPECT_EQ(stream.Next().error().reason(), "STREAM_ITEM_SKIPPED");
  hub_.store.HoldDurability(false);
  const naru::v1::ProduceStreamResult appended = stream.Next();
  EXPECT_EQ(appended.id(), 1);
  EXPECT_FALSE(appended.has_error());
  EXPECT_EQ(stream.Close().code, grpc::StatusCode::OK);
  EXPECT_THAT(Stored(hub_, "t", 0), ElementsAre("a"));
}

TEST_F(ProduceStreamTest, AMalformedItemOfUnknownPartitionFailsTheTopic) {
  Stream stream(hub_);
  ASSERT_TRUE(stream.Send(1, RequestFor("t", {})));
  ASSERT_TRUE(stream.Send(2, To(2, "b")));
  EXPECT_EQ(stream.Next().error().reason(), "MALFORMED_BATCH");
  EXPECT_EQ(stream.Next().error().reason(), "STREAM_ITEM_SKIPPED");
  ASSERT_TRUE(stream.Resume(3, "t"));
  ASSERT_TRUE(stream.Send(4, To(2, "b")));
  EXPECT_EQ(stream.Next().id(), 3);
  EXPECT_FALSE(stream.Next().has_error());
  EXPECT_EQ(stream.Close().code, grpc::StatusCode::OK);
}

TEST_F(ProduceStreamTest, ASplitItemSkipsOnlyTheFailedPartition) {
  Stream stream(hub_);
  naru::v1::ProduceRequest wrong = To(1, "wrong");
  wrong.set_expected_offset(5);
  ASSERT_TRUE(stream.Send(1, wrong));
  EXPECT_TRUE(stream.Next().has_error());
  naru::v1::ProduceRequest keyed;
  keyed.set_topic("t");
  for (int i = 0; i < 12; ++i) keyed.mutable_batch()->add_records()->set_key("k" + std::to_string(i));
  ASSERT_TRUE(stream.Send(2, keyed));
  const naru::v1::ProduceStreamResult result = stream.Next();
  EXPECT_FALSE(result.has_error());
  ASSERT_EQ(result.results_size(), 3);
  for (const naru::v1::PartitionProduceResult& part : result.results()) {
    EXPECT_EQ(part.error().reason(), part.partition() == 1 ? "STREAM_ITEM_SKIPPED" : "");
  }
  EXPECT_EQ(stream.Close().code, grpc::StatusCode::OK);
}

TEST_F(ProduceStreamTest, AcksNoneIsAnsweredBeforeTheStoreHasIt) {
  hub_.store.HoldDurability(true);
  Stream stream(hub_);
  naru::v1::ProduceRequest request = To(0, "a");
  request.set_acks(naru::v1::ACKS_NONE);
  ASSERT_TRUE(stream.Send(1, request));
  const naru::v1::ProduceStreamResult result = stream.Next();
  EXPECT_EQ(result.id(), 1);
  EXPECT_FALSE(result.has_error());
  EXPECT_THAT(result.results(), IsEmpty());
  hub_.store.HoldDurability(false);
  EXPECT_EQ(stream.Close().code, grpc::StatusCode::OK);
  EXPECT_THAT(Stored(hub_, "t", 0), ElementsAre("a"));
}

TEST_F(ProduceStreamTest, AnItemWithoutARequestIsAnsweredAndTheStreamGoesOn) {
  Stream stream(hub_);
  ASSERT_TRUE(stream.Send(naru::v1::ProduceStreamRequest()));
  EXPECT_EQ(stream.Next().error().reason(), "INVALID_FIELD");
  ASSERT_TRUE(stream.Send(1, To(0, "a")));
  EXPECT_FALSE(stream.Next().has_error());
  EXPECT_EQ(stream.Close().code, grpc::StatusCode::OK);
}

TEST_F(ProduceStreamTest, ACancelledStreamLeavesNothingBehind) {
  hub_.store.HoldDurability(true);
  {
    Stream stream(hub_);
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(stream.Send(i, To(0, "v")));
    ASSERT_TRUE(WaitFor([&] { return hub_.store.waiting_changes() == 5; }));
    stream.Cancel();
    EXPECT_EQ(stream.End().code, grpc::StatusCode::CANCELLED);
  }
  EXPECT_TRUE(WaitFor([&] { return hub_.produce.Counters().streams_open == 0; }));
  EXPECT_GT(hub_.produce.Counters().memory_used_bytes, 0) << "the store still has the items";
  hub_.store.HoldDurability(false);
  EXPECT_TRUE(WaitFor([&] {
    return hub_.produce.Counters().memory_used_bytes == 0 && hub_.produce.Counters().inflight == 0;
  }));
}

TEST_F(ProduceStreamTest, ShutdownAnswersWhatIsUnderWayThenEndsWithShuttingDown) {
  hub_.store.HoldDurability(true);
  Stream stream(hub_);
  ASSERT_TRUE(stream.Send(1, To(0, "a")));
  ASSERT_TRUE(WaitFor([&] { return hub_.store.waiting_changes() == 1; }));
  hub_.produce.Shutdown();
  hub_.store.HoldDurability(false);
  EXPECT_FALSE(stream.Next().has_error());
  const CallEnd end = stream.End();
  EXPECT_EQ(end.code, grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(end.reason, "SHUTTING_DOWN");
}

TEST_F(ProduceStreamTest, TooManyFailedPartitionsEndTheStream) {
  ProduceOptions options;
  options.stream_failed_partitions_max = 2;
  Hub hub(options);
  hub.catalog.SetTopic("t", 3);
  Stream stream(hub);
  for (int i = 0; i < 3; ++i) {
    naru::v1::ProduceRequest wrong = To(i, "x");
    wrong.set_expected_offset(5);
    ASSERT_TRUE(stream.Send(i, wrong));
  }
  const CallEnd end = stream.Close();
  EXPECT_EQ(end.code, grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(end.reason, "TOO_MANY_IN_FLIGHT");
}

// A producer that never stops, before a store that hangs.
TEST(ProduceStreamMemoryTest, AHungStoreStopsTheReadingAndNothingIsLostWhenItGoesOn) {
  ProduceOptions options;
  options.batch_bytes_max = 64 << 10;
  options.memory_bytes = 256 << 10;
  options.waiting_bytes_max = 256 << 10;
  options.stream_inflight_bytes_max = 128 << 10;
  Hub hub(options);
  hub.catalog.SetTopic("t", 1);
  hub.store.HoldDurability(true);
  constexpr int kStreams = 4;
  constexpr int kItems = 100;
  std::vector<std::thread> writers;
  std::vector<std::unique_ptr<Stream>> streams;
  for (int s = 0; s < kStreams; ++s) streams.push_back(std::make_unique<Stream>(hub));
  for (int s = 0; s < kStreams; ++s) {
    writers.emplace_back([&stream = *streams[s]] {
      for (int i = 0; i < kItems; ++i) ASSERT_TRUE(stream.Send(i, To(0, std::string(20 << 10, 'x'))));
    });
  }
  ASSERT_TRUE(WaitFor([&] { return hub.produce.Counters().memory_waiting_bytes > 0; }));
  EXPECT_LE(hub.produce.Counters().memory_used_bytes, options.memory_bytes + (64 << 10));
  EXPECT_LE(hub.produce.Counters().memory_waiting_bytes, kStreams * (21 << 10));
  EXPECT_LT(hub.store.waiting_changes(), 20u);
  hub.store.HoldDurability(false);
  for (int s = 0; s < kStreams; ++s) {
    std::map<int64_t, int64_t> offsets;
    for (int i = 0; i < kItems; ++i) {
      const naru::v1::ProduceStreamResult result = streams[s]->Next();
      ASSERT_EQ(result.results_size(), 1) << result.error().message();
      offsets[result.id()] = result.results(0).base_offset();
    }
    ASSERT_THAT(offsets, SizeIs(kItems));
    for (int i = 1; i < kItems; ++i) EXPECT_LT(offsets[i - 1], offsets[i]) << "appended in the order sent";
  }
  for (std::thread& writer : writers) writer.join();
  for (auto& stream : streams) EXPECT_EQ(stream->Close().code, grpc::StatusCode::OK);
  EXPECT_EQ(hub.EndOffset("t", 0), kStreams * kItems);
  EXPECT_TRUE(WaitFor([&] { return hub.produce.Counters().memory_used_bytes == 0; }));
}

// More than the store takes, from many at once: they are slowed, and nobody is refused.
TEST(ProduceStreamMemoryTest, ManyStreamsOfLargeItemsAreReadInTurnAndNoneIsRefused) {
  ProduceOptions options;
  options.batch_bytes_max = 64 << 10;
  options.memory_bytes = 256 << 10;
  options.reading_bytes_max = 1 << 20;
  options.idle_read_ms = 3'600'000;
  options.waiting_bytes_max = 1 << 20;
  Hub hub(options);
  hub.catalog.SetTopic("t", 1);
  hub.store.HoldDurability(true);
  constexpr int kStreams = 40;
  constexpr int kItems = 6;
  std::vector<std::unique_ptr<Stream>> streams;
  std::vector<std::thread> writers;
  for (int s = 0; s < kStreams; ++s) streams.push_back(std::make_unique<Stream>(hub));
  for (int s = 0; s < kStreams; ++s) {
    writers.emplace_back([&stream = *streams[s]] {
      for (int i = 0; i < kItems; ++i) ASSERT_TRUE(stream.Send(i, To(0, std::string(60 << 10, 'x'))));
      stream.HalfClose();
    });
  }
  ASSERT_TRUE(WaitFor([&] { return hub.produce.Counters().memory_waiting_bytes > 900 << 10; }));
  EXPECT_LE(hub.produce.Counters().memory_waiting_bytes, options.reading_bytes_max);
  EXPECT_GT(hub.produce.Counters().read_waits, 0);
  hub.store.HoldDurability(false);
  for (int s = 0; s < kStreams; ++s) {
    for (int i = 0; i < kItems; ++i) EXPECT_EQ(streams[s]->Next().error().message(), "");
  }
  for (std::thread& writer : writers) writer.join();
  for (auto& stream : streams) EXPECT_EQ(stream->End().code, grpc::StatusCode::OK);
  EXPECT_EQ(hub.EndOffset("t", 0), kStreams * kItems);
  EXPECT_TRUE(WaitFor([&] { return hub.produce.Counters().reading_bytes == 0; }));
}

TEST(ProduceStreamMemoryTest, StreamsWhoseClientsSendNothingKeepNobodyFromSending) {
  ProduceOptions options;
  options.batch_bytes_max = 64 << 10;
  options.reading_bytes_max = 64 << 10;
  options.idle_read_ms = 1;
  Hub hub(options);
  hub.catalog.SetTopic("t", 1);
  std::vector<std::unique_ptr<Stream>> idle;
  for (int i = 0; i < 20; ++i) {
    idle.push_back(std::make_unique<Stream>(hub));
    ASSERT_TRUE(idle.back()->Send(i, To(0, std::string(50 << 10, 'x'))));
    EXPECT_FALSE(idle.back()->Next().has_error());
  }
  Stream stream(hub);
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(stream.Send(i, To(0, std::string(50 << 10, 'x'))));
    EXPECT_FALSE(stream.Next().has_error());
  }
  for (auto& one : idle) {
    ASSERT_TRUE(one->Send(99, To(0, std::string(50 << 10, 'x'))));
    EXPECT_FALSE(one->Next().has_error()) << "also those that had lost their turn";
    EXPECT_EQ(one->Close().code, grpc::StatusCode::OK);
  }
  EXPECT_EQ(stream.Close().code, grpc::StatusCode::OK);
}

}  // namespace
}  // namespace naru::services
