// The Subscribe protocol: how large messages get, and the memory that is asked for.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/base/status.h"
#include "tests/services/subscribe_session_fixture.h"

namespace naru::services {
namespace {

using ::testing::Each;
using ::testing::SizeIs;

using SubscribeMemoryTest = SubscribeSessionTest;

TEST_F(SubscribeMemoryTest, MessagesGrowWhileTheClientTakesThemAndStartSmallAgainWhenItDoesNot) {
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

TEST_F(SubscribeMemoryTest, MessagesThatAreNotFullDoNotMakeLargerOnes) {
  Start(StartRequest());
  for (int i = 0; i < 50; ++i) {
    AnswerRead(1, 1000);
    session_.OnWritten(true);
  }
  EXPECT_EQ(effects_.reads.back().request.bytes_max, 64 << 10);
}

TEST_F(SubscribeMemoryTest, MemoryIsAskedForAsMuchAsTheNextMessageNeeds) {
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

TEST_F(SubscribeMemoryTest, WhoseClientTookTheLastMessageAtOnceWaitsInThePromptLine) {
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

TEST_F(SubscribeMemoryTest, WhileMemoryIsScarceMessagesStayWithinTheShareAndNoneIsReadyAhead) {
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

TEST_F(SubscribeMemoryTest, AClientThatHasReadMuchGetsWholeBatchesAlsoWhileMemoryIsScarce) {
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

TEST_F(SubscribeMemoryTest, SubscriptionsBeyondTheirMemoryAreRefused) {
  effects_.memory_ok = false;
  Start(StartRequest());
  EXPECT_EQ(ReasonOf(Failure()), Reason::kTooManyInFlight);
}

}  // namespace
}  // namespace naru::services
