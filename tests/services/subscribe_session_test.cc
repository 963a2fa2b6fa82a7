// The Subscribe protocol: turns, credit, idle messages, and how a stream ends.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/base/status.h"
#include "tests/services/subscribe_session_fixture.h"

namespace naru::services {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

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

}  // namespace
}  // namespace naru::services
