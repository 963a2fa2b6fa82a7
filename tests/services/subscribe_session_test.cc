// The Subscribe protocol without gRPC or a store: what the session asks for, and when.
#include "services/consume/subscribe_session.h"

#include <deque>
#include <map>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/base/status.h"
#include "tests/storage/batch/batch_bytes.h"

namespace naru::services {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Notes the effects; a test answers them when it likes.
class Recorder final : public SubscribeSession::Effects {
 public:
  struct ReadAsked {
    SubscribeSession::Lane lane;
    ReadRequest request;
    int64_t memory_bytes;
    MemoryGate::Line line;
  };
  absl::StatusOr<LogInfo> Info(LogId log) override {
    LogInfo info;
    info.log_start = Offset(3);
    info.readable_end = info.end = info.durable_end = Offset(10);
    return info;
  }
  std::shared_ptr<const cluster::TopicCatalog> Catalog() override { return catalog; }
  int64_t MessageBytesMax() override { return message_bytes_max; }
  bool SetAside(int64_t bytes) override { return memory_ok; }
  void FindByTime(SubscribeSession::Lane lane, LogId log, int64_t timestamp_ms) override {
    finds.push_back(timestamp_ms);
  }
  void Read(SubscribeSession::Lane lane, const ReadRequest& request, int64_t memory_bytes,
            MemoryGate::Line line) override {
    reads.push_back({lane, request, memory_bytes, line});
  }
  void Watch(SubscribeSession::Lane lane, LogId log, Offset offset) override { watches[lane] = offset; }
  void Unwatch(SubscribeSession::Lane lane) override { watches.erase(lane); }
  void Write(SubscribeSession::Message message) override {
    std::string bytes = message.head + message.records + std::string(message.batches);
    naru::v1::SubscribeResponse response;
    EXPECT_TRUE(response.ParseFromString(bytes));
    EXPECT_EQ(static_cast<int64_t>(bytes.size()), message.size_bytes());
    written.push_back(response);
  }
  void Finish(const absl::Status& status) override {
    EXPECT_FALSE(finished) << "twice";
    finished = status;
  }

  bool memory_ok = true;
  int64_t message_bytes_max = INT64_MAX;
  std::shared_ptr<const cluster::TopicCatalog> catalog = std::make_shared<cluster::TopicCatalog>();
  std::vector<ReadAsked> reads;
  std::vector<int64_t> finds;
  std::map<SubscribeSession::Lane, Offset> watches;
  std::vector<naru::v1::SubscribeResponse> written;
  std::optional<absl::Status> finished;
};

class SubscribeSessionTest : public ::testing::Test {
 protected:
  SubscribeSessionTest() { SetPartitions(2); }

  void SetPartitions(int count) {
    auto topic = std::make_shared<cluster::TopicInfo>();
    topic->name = "t";
    topic->topic_id = "0123456789abcdef";
    for (int i = 0; i < count; ++i) topic->partitions.push_back({.log = LogId(i + 1)});
    catalog_.topics["t"] = topic;
  }
  naru::v1::SubscribeRequest StartRequest() {
    naru::v1::SubscribeRequest request;
    request.mutable_start()->add_topics()->set_topic("t");
    return request;
  }
  void Start(const naru::v1::SubscribeRequest& request) { session_.OnRequest(request, catalog_); }
  void GiveCredit(int64_t bytes) {
    naru::v1::SubscribeRequest request;
    request.mutable_credit()->set_bytes(bytes);
    session_.OnRequest(request, catalog_);
  }
  // Answers the newest read with `count` records of about `bytes` each.
  void AnswerRead(int count, size_t bytes = 1) {
    const Recorder::ReadAsked asked = effects_.reads.back();
    ReadResult result{.log_start = Offset(3), .readable_end = asked.request.from + count};
    std::vector<std::string> records(count, batch_bytes::Keyless(std::string(bytes, 'v')));
    if (count > 0) {
      StoredBatchView batch;
      batch.base_offset = asked.request.from;
      batch.next_offset = asked.request.from + count;
      batch.record_count = count;
      batch.append_time_ms = 7;
      batch.bytes = absl::Cord(batch_bytes::Batch(records));
      result.batches.push_back(batch);
    }
    session_.OnRead(asked.lane, result, {});
  }
  std::vector<SubscribeSession::Lane> LanesRead() const {
    std::vector<SubscribeSession::Lane> lanes;
    for (const Recorder::ReadAsked& read : effects_.reads) lanes.push_back(read.lane);
    return lanes;
  }
  absl::Status Failure() const { return effects_.finished.value_or(absl::OkStatus()); }

  ConsumeOptions options_;
  ManualClock clock_;
  cluster::TopicCatalog catalog_;
  Recorder effects_;
  SubscribeSession session_{options_, clock_, effects_};
};

TEST_F(SubscribeSessionTest, PartitionsWithRecordsTakeTurns) {
  SetPartitions(3);
  Start(StartRequest());
  for (int i = 0; i < 6; ++i) {
    AnswerRead(1);
    session_.OnWritten(true);
  }
  EXPECT_THAT(LanesRead(), ElementsAre(0, 1, 2, 0, 1, 2, 0));
  ASSERT_THAT(effects_.written, SizeIs(6));
  EXPECT_EQ(effects_.written[0].delivery().partition(), 0);
  EXPECT_EQ(effects_.written[3].delivery().next_offset(), 5);
}

TEST_F(SubscribeSessionTest, OneReadIsAheadOfTheWriteOnceTheClientHasTakenAMessageAndNoMore) {
  Start(StartRequest());
  AnswerRead(1);
  EXPECT_THAT(effects_.written, SizeIs(1));
  EXPECT_THAT(effects_.reads, SizeIs(1)) << "perhaps nobody reads";
  session_.OnWritten(true);
  AnswerRead(1);
  EXPECT_THAT(effects_.written, SizeIs(2));
  EXPECT_THAT(effects_.reads, SizeIs(3));
  AnswerRead(1);
  EXPECT_THAT(effects_.written, SizeIs(2)) << "the second is still being written";
  EXPECT_THAT(effects_.reads, SizeIs(3));
  session_.OnWritten(true);
  EXPECT_THAT(effects_.written, SizeIs(3));
  EXPECT_THAT(effects_.reads, SizeIs(4));
}

TEST_F(SubscribeSessionTest, AnEmptyPartitionIsWatchedAndComesBackWhenItHasRecords) {
  Start(StartRequest());
  AnswerRead(0);
  AnswerRead(0);
  EXPECT_THAT(effects_.watches, SizeIs(2));
  EXPECT_EQ(effects_.watches[1], Offset(3));
  EXPECT_THAT(effects_.reads, SizeIs(2));
  session_.OnReadable(1);
  EXPECT_THAT(LanesRead(), ElementsAre(0, 1, 1));
}

TEST_F(SubscribeSessionTest, NothingIsReadOrSentWithoutCreditAndCreditMayFallBelowZeroByOneDelivery) {
  naru::v1::SubscribeRequest start = StartRequest();
  start.mutable_start()->set_credit_bytes(10);
  Start(start);
  AnswerRead(1, 1000);
  ASSERT_THAT(effects_.written, SizeIs(1)) << "some credit was left";
  EXPECT_THAT(effects_.reads, SizeIs(1));
  session_.OnWritten(true);
  GiveCredit(100);
  EXPECT_THAT(effects_.reads, SizeIs(1)) << "still below zero";
  GiveCredit(1000);
  EXPECT_THAT(effects_.reads, SizeIs(2));
}

TEST_F(SubscribeSessionTest, ADeliverySaysWhatItTookSoThatGivingItBackFillsTheCredit) {
  naru::v1::SubscribeRequest start = StartRequest();
  start.mutable_start()->set_credit_bytes(10);
  Start(start);
  AnswerRead(1, 1000);
  ASSERT_THAT(effects_.written, SizeIs(1));
  const int64_t taken = effects_.written[0].delivery().credit_bytes();
  EXPECT_GT(taken, 1000);
  session_.OnWritten(true);
  GiveCredit(taken - 10);
  EXPECT_THAT(effects_.reads, SizeIs(1)) << "nothing is left yet";
  GiveCredit(1);
  EXPECT_THAT(effects_.reads, SizeIs(2));
}

TEST_F(SubscribeSessionTest, AfterHalfCloseTheStreamEndsOnceTheCreditIsUsed) {
  naru::v1::SubscribeRequest start = StartRequest();
  start.mutable_start()->set_credit_bytes(10);
  Start(start);
  session_.OnHalfClose();
  EXPECT_FALSE(effects_.finished);
  AnswerRead(1, 1000);
  EXPECT_FALSE(effects_.finished);
  session_.OnWritten(true);
  ASSERT_TRUE(effects_.finished);
  EXPECT_TRUE(effects_.finished->ok());
}

TEST_F(SubscribeSessionTest, AfterHalfCloseAStreamWithoutCreditGoesOn) {
  Start(StartRequest());
  session_.OnHalfClose();
  AnswerRead(1);
  session_.OnWritten(true);
  EXPECT_FALSE(effects_.finished);
}

TEST_F(SubscribeSessionTest, EndReachedFollowsTheLastDeliveryAndTheStreamEndsWhenAllHaveEnded) {
  naru::v1::SubscribeRequest start = StartRequest();
  for (int i = 0; i < 2; ++i) {
    naru::v1::PartitionSubscription& partition = *start.mutable_start()->mutable_topics(0)->add_partitions();
    partition.set_partition(i);
    partition.set_offset(3);
    partition.set_end_offset(5);
  }
  Start(start);
  AnswerRead(4);
  session_.OnWritten(true);
  ASSERT_THAT(effects_.written, SizeIs(2));
  EXPECT_EQ(effects_.written[0].delivery().records_size(), 2) << "records below the end only";
  EXPECT_EQ(effects_.written[1].end_reached().partition(), 0);
  EXPECT_EQ(effects_.written[1].end_reached().next_offset(), 5);
  session_.OnWritten(true);
  AnswerRead(2);
  session_.OnWritten(true);
  EXPECT_FALSE(effects_.finished);
  session_.OnWritten(true);
  ASSERT_TRUE(effects_.finished);
  EXPECT_TRUE(effects_.finished->ok());
  EXPECT_TRUE(effects_.written.back().has_end_reached());
}

TEST_F(SubscribeSessionTest, AnEmptyRangeReachesItsEndWithoutBeingRead) {
  naru::v1::SubscribeRequest start = StartRequest();
  naru::v1::PartitionSubscription& partition = *start.mutable_start()->mutable_topics(0)->add_partitions();
  partition.set_offset(5);
  partition.set_end_offset(5);
  Start(start);
  EXPECT_THAT(effects_.reads, IsEmpty());
  ASSERT_THAT(effects_.written, SizeIs(1));
  EXPECT_TRUE(effects_.written[0].has_end_reached());
}

TEST_F(SubscribeSessionTest, AStartOutsideTheLogIsAnErrorAlsoWhenTheEndIsReachedThere) {
  naru::v1::SubscribeRequest start = StartRequest();
  for (int i = 0; i < 2; ++i) {
    naru::v1::PartitionSubscription& partition = *start.mutable_start()->mutable_topics(0)->add_partitions();
    partition.set_partition(i);
    partition.set_offset(i == 0 ? 200 : 2);
    partition.set_end_offset(i == 0 ? 4 : 1);
  }
  Start(start);
  session_.OnWritten(true);
  ASSERT_THAT(effects_.written, SizeIs(2));
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(effects_.written[i].failure().error().reason(), "OFFSET_OUT_OF_RANGE") << i;
    EXPECT_EQ(effects_.written[i].failure().error().metadata().at("log_start_offset"), "3");
  }
}

TEST_F(SubscribeSessionTest, AStartWithoutAnOffsetThatLiesBehindTheEndIsNoError) {
  naru::v1::SubscribeRequest start = StartRequest();
  start.mutable_start()->mutable_topics(0)->add_partitions()->set_end_offset(2);
  Start(start);
  ASSERT_THAT(effects_.written, SizeIs(1));
  EXPECT_TRUE(effects_.written[0].has_end_reached()) << "everything below 2 is gone";
}

TEST_F(SubscribeSessionTest, ALogThatIsGoneBeforeTheCatalogSaysSoIsATopicDeleted) {
  Start(StartRequest());
  session_.OnRead(0, MakeError(Reason::kPartitionNotFound, "log: 62 is not in this store"), {});
  ASSERT_THAT(effects_.written, SizeIs(1));
  const naru::v1::Error& error = effects_.written[0].failure().error();
  EXPECT_EQ(error.reason(), "TOPIC_NOT_FOUND");
  EXPECT_EQ(error.metadata().at("topic"), "t");
  EXPECT_EQ(error.message(), "topic \"t\" was deleted");
}

TEST_F(SubscribeSessionTest, APartitionThatCannotBeReadLeavesAndTheOthersGoOn) {
  Start(StartRequest());
  session_.OnRead(0, MakeError(Reason::kCorruptData, "bad"), {});
  ASSERT_THAT(effects_.written, SizeIs(1));
  EXPECT_EQ(effects_.written[0].failure().error().reason(), "CORRUPT_DATA");
  EXPECT_EQ(effects_.written[0].failure().next_offset(), 3);
  session_.OnWritten(true);
  EXPECT_THAT(LanesRead(), ElementsAre(0, 1));
  AnswerRead(1);
  session_.OnWritten(true);
  EXPECT_THAT(LanesRead(), ElementsAre(0, 1, 1));
}

TEST_F(SubscribeSessionTest, RetentionThatPassesTheFirstRecordMovesAnEarliestStart) {
  Start(StartRequest());
  session_.OnRead(0, MakeError(Reason::kOffsetOutOfRange, "gone"), {});
  ASSERT_THAT(effects_.written, SizeIs(1)) << "the log start did not move, so it is an error";
  session_.OnWritten(true);
  EXPECT_TRUE(effects_.written[0].has_failure());
}

TEST_F(SubscribeSessionTest, PartitionsAddedLaterAreReadFromTheirBeginning) {
  Start(StartRequest());
  AnswerRead(0);
  AnswerRead(0);
  SetPartitions(3);
  session_.OnCatalog(catalog_);
  ASSERT_THAT(LanesRead(), ElementsAre(0, 1, 2));
  EXPECT_EQ(effects_.reads.back().request.log, LogId(3));
  EXPECT_EQ(effects_.reads.back().request.from, Offset(3));
}

TEST_F(SubscribeSessionTest, NamedPartitionsDoNotGrow) {
  naru::v1::SubscribeRequest start = StartRequest();
  start.mutable_start()->mutable_topics(0)->add_partitions();
  Start(start);
  AnswerRead(0);
  SetPartitions(3);
  session_.OnCatalog(catalog_);
  EXPECT_THAT(LanesRead(), ElementsAre(0));
}

TEST_F(SubscribeSessionTest, AnErrorBehindRecordsComesAfterThem) {
  Start(StartRequest());
  // The second of two batches is no batch.
  const Recorder::ReadAsked asked = effects_.reads.back();
  StoredBatchView good{.base_offset = Offset(3), .next_offset = Offset(4), .record_count = 1};
  good.bytes = absl::Cord(batch_bytes::Batch({batch_bytes::Keyless("v")}));
  StoredBatchView bad{.base_offset = Offset(4), .next_offset = Offset(5), .record_count = 1};
  bad.bytes = absl::Cord("\xff");
  session_.OnRead(asked.lane, ReadResult{{good, bad}, Offset(3), Offset(5)}, {});
  ASSERT_THAT(effects_.written, SizeIs(1));
  EXPECT_EQ(effects_.written[0].delivery().next_offset(), 4);
  session_.OnWritten(true);
  EXPECT_THAT(effects_.written, SizeIs(1)) << "the partition is read again first";
  EXPECT_FALSE(effects_.finished);
}

TEST_F(SubscribeSessionTest, ADeletedTopicFailsItsPartitionsBehindWhatWasRead) {
  Start(StartRequest());
  AnswerRead(1);
  session_.OnWritten(true);
  AnswerRead(1);  // being written
  AnswerRead(1);  // ready behind it
  catalog_.topics.clear();
  session_.OnCatalog(catalog_);
  for (int i = 0; i < 4; ++i) session_.OnWritten(true);
  ASSERT_THAT(effects_.written, SizeIs(5));
  std::map<int, int64_t> failed;
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(effects_.written[i].has_delivery(), i < 3);
    if (i < 3) continue;
    const naru::v1::PartitionFailure& failure = effects_.written[i].failure();
    EXPECT_EQ(failure.error().reason(), "TOPIC_NOT_FOUND");
    failed[failure.partition()] = failure.next_offset();
  }
  EXPECT_THAT(failed, ElementsAre(std::pair(0, 5), std::pair(1, 4)));
  ASSERT_TRUE(effects_.finished);
  EXPECT_TRUE(effects_.finished->ok());
}

TEST_F(SubscribeSessionTest, IdleIsSentOnlyWhenNothingElseWas) {
  naru::v1::SubscribeRequest start = StartRequest();
  start.mutable_start()->set_idle_interval_ms(1000);
  start.mutable_start()->set_credit_bytes(500);
  Start(start);
  AnswerRead(0);
  AnswerRead(0);
  EXPECT_EQ(session_.NextTick(), std::chrono::milliseconds(1000));
  clock_.AdvanceMs(999);
  session_.OnTick();
  EXPECT_THAT(effects_.written, IsEmpty());
  clock_.AdvanceMs(1);
  session_.OnTick();
  ASSERT_THAT(effects_.written, SizeIs(1));
  EXPECT_EQ(effects_.written[0].idle().time_ms(), clock_.NowMs());
  EXPECT_EQ(effects_.written[0].idle().credit_bytes(), 500);
  clock_.AdvanceMs(5000);
  session_.OnTick();
  EXPECT_THAT(effects_.written, SizeIs(1)) << "a write is out";
}

TEST_F(SubscribeSessionTest, MessagesGrowWhileTheClientTakesThemAndStartSmallAgainWhenItDoesNot) {
  Start(StartRequest());
  std::vector<int64_t> sizes;
  const auto round = [&](int64_t write_ms) {
    sizes.push_back(effects_.reads.back().request.bytes_max);
    // More than fits, so that the message is full.
    AnswerRead(8, static_cast<size_t>(sizes.back() / 4));
    clock_.AdvanceMs(write_ms);
    session_.OnWritten(true);
  };
  for (int i = 0; i < 8; ++i) round(10);
  EXPECT_THAT(sizes, Each(64 << 10)) << "as much may lie in the connection's buffers";
  for (int i = 0; i < 56; ++i) round(10);
  EXPECT_EQ(sizes.back(), options_.message_bytes_max);
  round(2000);
  round(10);
  round(10);
  EXPECT_EQ(sizes.back(), 64 << 10);
}

TEST_F(SubscribeSessionTest, MessagesThatAreNotFullDoNotMakeLargerOnes) {
  Start(StartRequest());
  for (int i = 0; i < 50; ++i) {
    AnswerRead(1, 1000);
    session_.OnWritten(true);
  }
  EXPECT_EQ(effects_.reads.back().request.bytes_max, 64 << 10);
}

TEST_F(SubscribeSessionTest, MemoryIsAskedForAsMuchAsTheNextMessageNeeds) {
  SetPartitions(1);
  Start(StartRequest());
  ASSERT_THAT(effects_.reads, SizeIs(1));
  EXPECT_EQ(effects_.reads[0].memory_bytes, 128 << 10) << "for what is read and for what is made of it";
  EXPECT_EQ(effects_.reads[0].request.first_bytes_max, 64 << 10);
  ReadResult too_large{.log_start = Offset(3), .readable_end = Offset(10), .first_batch_bytes = 1'000'000};
  session_.OnRead(0, too_large, {});
  ASSERT_THAT(effects_.reads, SizeIs(2));
  EXPECT_EQ(effects_.reads[1].request.from, Offset(3));
  EXPECT_EQ(effects_.reads[1].request.first_bytes_max, 1'000'000);
  EXPECT_EQ(effects_.reads[1].memory_bytes, 1'000'000 + (64 << 10));
  AnswerRead(1, 1'000'000);
  session_.OnWritten(true);
  ASSERT_THAT(effects_.reads, SizeIs(3));
  EXPECT_GT(effects_.reads[2].request.first_bytes_max, 1'000'000) << "batches behind it are about as large";
  AnswerRead(1, 100);
  session_.OnWritten(true);
  EXPECT_EQ(effects_.reads.back().request.first_bytes_max, 64 << 10);
}

TEST_F(SubscribeSessionTest, WhoseClientTookTheLastMessageAtOnceWaitsInThePromptLine) {
  Start(StartRequest());
  EXPECT_EQ(effects_.reads.back().line, MemoryGate::Line::kLate) << "nothing is known of it";
  AnswerRead(1);
  session_.OnWritten(true);
  EXPECT_EQ(effects_.reads.back().line, MemoryGate::Line::kPrompt);
  AnswerRead(1);
  AnswerRead(1);
  clock_.AdvanceMs(2000);
  session_.OnWritten(true);
  EXPECT_THAT(effects_.reads, SizeIs(3)) << "the client is slow: nothing ahead";
  clock_.AdvanceMs(2000);
  session_.OnWritten(true);
  EXPECT_EQ(effects_.reads.back().line, MemoryGate::Line::kLate);
}

TEST_F(SubscribeSessionTest, WhileMemoryIsScarceMessagesStayWithinTheShareAndNoneIsReadyAhead) {
  effects_.message_bytes_max = 40 << 10;
  Start(StartRequest());
  for (int i = 0; i < 50; ++i) {
    const size_t reads = effects_.reads.size();
    EXPECT_EQ(effects_.reads.back().request.bytes_max, 40 << 10);
    AnswerRead(8, 10 << 10);
    EXPECT_THAT(effects_.reads, SizeIs(reads));
    EXPECT_LE(effects_.written.back().ByteSizeLong(), 40u << 10);
    session_.OnWritten(true);
  }
  effects_.message_bytes_max = INT64_MAX;
  AnswerRead(8, 10 << 10);
  EXPECT_EQ(effects_.reads.back().request.bytes_max, 64 << 10) << "what was scarce was not the client";
}

TEST_F(SubscribeSessionTest, AClientThatHasReadMuchGetsWholeBatchesAlsoWhileMemoryIsScarce) {
  SetPartitions(1);
  effects_.message_bytes_max = 64 << 10;
  Start(StartRequest());
  int64_t bytes = 0;
  for (int i = 0; i < 200; ++i) {
    if (bytes < 7 << 20) {
      ASSERT_EQ(effects_.reads.back().request.bytes_max, 64 << 10) << bytes;
    }
    AnswerRead(30, 10 << 10);  // 300 KiB, as much as fits
    bytes += static_cast<int64_t>(effects_.written.back().ByteSizeLong());
    session_.OnWritten(true);
  }
  EXPECT_GE(effects_.reads.back().request.bytes_max, 300 << 10);
  EXPECT_LE(effects_.reads.back().request.bytes_max, 310 << 10) << "no more than a batch";
  AnswerRead(30, 10 << 10);
  clock_.AdvanceMs(2000);
  session_.OnWritten(true);
  EXPECT_EQ(effects_.reads.back().request.bytes_max, 64 << 10);
}

TEST_F(SubscribeSessionTest, ATimeIsLookedUpBeforeTheFirstRead) {
  naru::v1::SubscribeRequest start = StartRequest();
  start.mutable_start()->mutable_topics(0)->set_timestamp_ms(77);
  Start(start);
  EXPECT_THAT(effects_.reads, IsEmpty());
  EXPECT_THAT(effects_.finds, ElementsAre(77));
  session_.OnFound(0, std::optional(TimedOffset{Offset(6), 80}));
  session_.OnFound(1, std::optional<TimedOffset>());
  ASSERT_THAT(LanesRead(), ElementsAre(0));
  EXPECT_EQ(effects_.reads[0].request.from, Offset(6));
  AnswerRead(0);
  ASSERT_THAT(LanesRead(), ElementsAre(0, 1));
  EXPECT_EQ(effects_.reads[1].request.from, Offset(10)) << "no record is that late: the end";
}

TEST_F(SubscribeSessionTest, ProtocolErrorsEndTheStream) {
  GiveCredit(5);
  EXPECT_EQ(ReasonOf(Failure()), Reason::kInvalidField);
}

TEST_F(SubscribeSessionTest, CreditOfAStreamThatKeepsNoneIsRefused) {
  Start(StartRequest());
  GiveCredit(5);
  EXPECT_EQ(ReasonOf(Failure()), Reason::kInvalidField);
}

TEST_F(SubscribeSessionTest, AnErrorWaitsForTheWriteThatIsOut) {
  Start(StartRequest());
  AnswerRead(1);
  session_.End(MakeError(Reason::kShuttingDown, "bye"));
  EXPECT_FALSE(effects_.finished);
  session_.OnWritten(true);
  EXPECT_EQ(ReasonOf(Failure()), Reason::kShuttingDown);
  AnswerRead(1);
  session_.OnReadable(0);
  session_.OnTick();
  EXPECT_THAT(effects_.written, SizeIs(1)) << "nothing happens after the end";
}

TEST_F(SubscribeSessionTest, SubscriptionsBeyondTheirMemoryAreRefused) {
  effects_.memory_ok = false;
  Start(StartRequest());
  EXPECT_EQ(ReasonOf(Failure()), Reason::kTooManyInFlight);
}

}  // namespace
}  // namespace naru::services
