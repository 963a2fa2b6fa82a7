// The Subscribe protocol: where partitions begin and end, and what becomes of those that change or cannot be
// read.
#include <map>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/base/status.h"
#include "tests/services/subscribe_session_fixture.h"
#include "tests/storage/batch/batch_bytes.h"

namespace naru::services {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using SubscribePartitionsTest = SubscribeSessionTest;

TEST_F(SubscribePartitionsTest, EndReachedFollowsTheLastDeliveryAndTheStreamEndsWhenAllHaveEnded) {
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

TEST_F(SubscribePartitionsTest, AnEmptyRangeReachesItsEndWithoutBeingRead) {
  naru::v1::SubscribeRequest start = StartRequest();
  naru::v1::PartitionSubscription& partition = *start.mutable_start()->mutable_topics(0)->add_partitions();
  partition.set_offset(5);
  partition.set_end_offset(5);
  Start(start);
  EXPECT_THAT(effects_.reads, IsEmpty());
  ASSERT_THAT(effects_.written, SizeIs(1));
  EXPECT_TRUE(effects_.written[0].has_end_reached());
}

TEST_F(SubscribePartitionsTest, AStartOutsideTheLogIsAnErrorAlsoWhenTheEndIsReachedThere) {
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

TEST_F(SubscribePartitionsTest, AStartWithoutAnOffsetThatLiesBehindTheEndIsNoError) {
  naru::v1::SubscribeRequest start = StartRequest();
  start.mutable_start()->mutable_topics(0)->add_partitions()->set_end_offset(2);
  Start(start);
  ASSERT_THAT(effects_.written, SizeIs(1));
  EXPECT_TRUE(effects_.written[0].has_end_reached()) << "everything below 2 is gone";
}

TEST_F(SubscribePartitionsTest, ALogThatIsGoneBeforeTheCatalogSaysSoIsATopicDeleted) {
  Start(StartRequest());
  session_.OnRead(0, MakeError(Reason::kPartitionNotFound, "log: 62 is not in this store"), {});
  ASSERT_THAT(effects_.written, SizeIs(1));
  const naru::v1::Error& error = effects_.written[0].failure().error();
  EXPECT_EQ(error.reason(), "TOPIC_NOT_FOUND");
  EXPECT_EQ(error.metadata().at("topic"), "t");
  EXPECT_EQ(error.message(), "topic \"t\" was deleted");
}

TEST_F(SubscribePartitionsTest, APartitionThatCannotBeReadLeavesAndTheOthersGoOn) {
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

TEST_F(SubscribePartitionsTest, RetentionThatPassesTheFirstRecordMovesAnEarliestStart) {
  Start(StartRequest());
  session_.OnRead(0, MakeError(Reason::kOffsetOutOfRange, "gone"), {});
  ASSERT_THAT(effects_.written, SizeIs(1)) << "the log start did not move, so it is an error";
  session_.OnWritten(true);
  EXPECT_TRUE(effects_.written[0].has_failure());
}

TEST_F(SubscribePartitionsTest, PartitionsAddedLaterAreReadFromTheirBeginning) {
  Start(StartRequest());
  AnswerRead(0);
  AnswerRead(0);
  SetPartitions(3);
  session_.OnCatalog(catalog_);
  ASSERT_THAT(LanesRead(), ElementsAre(0, 1, 2));
  EXPECT_EQ(effects_.reads.back().request.log, LogId(3));
  EXPECT_EQ(effects_.reads.back().request.from, Offset(3));
}

TEST_F(SubscribePartitionsTest, NamedPartitionsDoNotGrow) {
  naru::v1::SubscribeRequest start = StartRequest();
  start.mutable_start()->mutable_topics(0)->add_partitions();
  Start(start);
  AnswerRead(0);
  SetPartitions(3);
  session_.OnCatalog(catalog_);
  EXPECT_THAT(LanesRead(), ElementsAre(0));
}

TEST_F(SubscribePartitionsTest, AnErrorBehindRecordsComesAfterThem) {
  Start(StartRequest());
  // The second of two batches is no batch.
  const SubscribeEffectsRecorder::ReadAsked asked = effects_.reads.back();
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

TEST_F(SubscribePartitionsTest, ADeletedTopicFailsItsPartitionsBehindWhatWasRead) {
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

TEST_F(SubscribePartitionsTest, ATimeIsLookedUpBeforeTheFirstRead) {
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

}  // namespace
}  // namespace naru::services
