#include "clients/cpp/partition_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/base/status.h"

namespace naru::client {
namespace {

using ::testing::ElementsAre;

constexpr int64_t kStream = 1;

class PartitionQueueTest : public ::testing::Test {
 protected:
  PartitionQueueTest() {
    options_.linger = absl::ZeroDuration();
    options_.batch_bytes = 1;  // a batch for each record
    options_.backoff = {.initial = absl::Milliseconds(100), .max = absl::Milliseconds(100)};
  }

  PartitionQueue& queue() {
    if (!queue_) queue_ = std::make_unique<PartitionQueue>("t", PartitionId(3), options_, 1);
    return *queue_;
  }
  void Append(std::string_view raw) { queue().Append(raw, {}, 1, 0, now_, &next_id_); }
  // Sends all that may be sent now; gives the ids.
  std::vector<int64_t> SendAll(int64_t stream = kStream) {
    std::vector<int64_t> ids;
    while (queue().IsSendable(now_)) ids.push_back(queue().Send(stream, now_)->id);
    return ids;
  }
  static std::vector<int64_t> Ids(const std::vector<PartitionQueue::Batch>& batches) {
    std::vector<int64_t> ids;
    for (const auto& batch : batches) ids.push_back(batch->id);
    return ids;
  }

  ProducerOptions options_;
  absl::Time now_ = absl::UnixEpoch();
  int64_t next_id_ = 1;
  std::unique_ptr<PartitionQueue> queue_;
};

TEST_F(PartitionQueueTest, ABatchWaitsForLingerUnlessItIsFull) {
  options_.linger = absl::Milliseconds(10);
  options_.batch_bytes = 10;
  Append("abcd");
  EXPECT_FALSE(queue().IsSendable(now_));
  EXPECT_EQ(queue().NextActionAt(), now_ + absl::Milliseconds(10));
  EXPECT_TRUE(queue().IsSendable(now_ + absl::Milliseconds(10)));
  Append("efghijklmnop");  // passes batch_bytes: the first goes without it
  EXPECT_TRUE(queue().IsSendable(now_));
  EXPECT_EQ(queue().Send(kStream, now_)->builder.record_count(), 1u);
  EXPECT_EQ(queue().Send(kStream, now_)->builder.record_count(), 1u);
}

TEST_F(PartitionQueueTest, OfBatchesThatEndedAStreamOnlyTheOneThatDoesSoAloneFails) {
  for (int i = 0; i < 3; ++i) Append("r");
  SendAll();
  const absl::Status refused = absl::ResourceExhaustedError("Received message larger than max");
  EXPECT_THAT(queue().OnStreamBroken(refused, now_), ::testing::IsEmpty()) << "it may be any of them";
  now_ += absl::Seconds(1);
  ASSERT_TRUE(queue().NextGoesAlone());
  EXPECT_EQ(queue().Send(kStream + 1, now_)->id, 1);
  ASSERT_NE(queue().OnAppended(1, 0, 0, now_), nullptr);
  ASSERT_TRUE(queue().NextGoesAlone());
  EXPECT_EQ(queue().Send(kStream + 1, now_)->id, 2);
  const auto failed = queue().OnStreamBroken(refused, now_);
  ASSERT_THAT(Ids(failed), ElementsAre(2));
  EXPECT_EQ(failed[0]->status, refused);
  now_ += absl::Seconds(1);
  EXPECT_EQ(queue().Send(kStream + 2, now_)->id, 3) << "the others go on";
}

TEST_F(PartitionQueueTest, ASuspectWhoseConnectionBreaksIsTriedAgain) {
  Append("r");
  SendAll();
  queue().OnStreamBroken(absl::ResourceExhaustedError("too large"), now_);
  now_ += absl::Seconds(1);
  EXPECT_THAT(SendAll(kStream + 1), ElementsAre(1));
  EXPECT_THAT(queue().OnStreamBroken(absl::UnavailableError("gone"), now_), ::testing::IsEmpty());
  now_ += absl::Seconds(1);
  EXPECT_TRUE(queue().IsSendable(now_));
}

TEST_F(PartitionQueueTest, SealingEndsTheWaitForLinger) {
  options_.linger = absl::Milliseconds(10);
  options_.batch_bytes = 100;
  Append("a");
  Append("b");
  queue().Seal();
  ASSERT_TRUE(queue().IsSendable(now_));
  EXPECT_EQ(queue().Send(kStream, now_)->builder.record_count(), 2u);
}

TEST_F(PartitionQueueTest, RecordsOfTwoGenerationsDoNotShareABatch) {
  options_.batch_bytes = 100;
  queue().Append("a", {}, 1, 0, now_, &next_id_);
  queue().Append("b", {}, 1, 1, now_, &next_id_);
  EXPECT_THAT(SendAll(), ElementsAre(1, 2));
}

TEST_F(PartitionQueueTest, NoMoreThanTheAllowedBatchesAreInFlight) {
  options_.in_flight_batches_max = 2;
  for (int i = 0; i < 3; ++i) Append("r");
  EXPECT_THAT(SendAll(), ElementsAre(1, 2));
  EXPECT_NE(queue().OnAppended(1, 0, 0, now_), nullptr);
  EXPECT_THAT(SendAll(), ElementsAre(3));
}

TEST_F(PartitionQueueTest, AfterATransientFailureEverythingGoesAgainInItsOldOrder) {
  for (int i = 0; i < 4; ++i) Append("r");
  options_.in_flight_batches_max = 3;
  EXPECT_THAT(SendAll(), ElementsAre(1, 2, 3));
  EXPECT_EQ(queue().OnFailed(1, MakeError(Reason::kStorageFull, "full"), now_), nullptr);
  EXPECT_THAT(SendAll(), ElementsAre()) << "nothing goes out while later ones are still to be skipped";
  EXPECT_EQ(queue().OnFailed(2, MakeError(Reason::kStreamItemSkipped, "skipped"), now_), nullptr);
  EXPECT_EQ(queue().OnFailed(3, MakeError(Reason::kStreamItemSkipped, "skipped"), now_), nullptr);
  EXPECT_THAT(SendAll(), ElementsAre()) << "a backoff comes first";
  EXPECT_TRUE(queue().NeedsResume(kStream));
  EXPECT_FALSE(queue().NeedsResume(kStream + 1)) << "another stream saw no failure";
  now_ = queue().NextActionAt();
  EXPECT_LE(now_, absl::UnixEpoch() + absl::Milliseconds(100));
  EXPECT_THAT(SendAll(), ElementsAre(1, 2, 3));
}

TEST_F(PartitionQueueTest, AnsweredInAnyOrderTheRetryKeepsTheOrderOfSending) {
  for (int i = 0; i < 3; ++i) Append("r");
  SendAll();
  queue().OnFailed(3, MakeError(Reason::kStreamItemSkipped, "skipped"), now_);
  queue().OnFailed(1, MakeError(Reason::kTooManyInFlight, "busy"), now_);
  queue().OnFailed(2, MakeError(Reason::kStreamItemSkipped, "skipped"), now_);
  now_ = queue().NextActionAt();
  EXPECT_THAT(SendAll(), ElementsAre(1, 2, 3));
}

TEST_F(PartitionQueueTest, AnAppendThatIsAnsweredAfterTheFailureBehindItLetsTheRetryBegin) {
  for (int i = 0; i < 3; ++i) Append("r");
  SendAll();
  queue().OnFailed(2, MakeError(Reason::kRecordTooLarge, "large"), now_);
  queue().OnFailed(3, MakeError(Reason::kStreamItemSkipped, "skipped"), now_);
  EXPECT_THAT(SendAll(), ElementsAre());
  EXPECT_NE(queue().OnAppended(1, 0, 0, now_), nullptr);
  EXPECT_THAT(SendAll(), ElementsAre(3));
}

TEST_F(PartitionQueueTest, ABatchThatIsRefusedFailsAndThoseBehindItGoOnAtOnce) {
  for (int i = 0; i < 3; ++i) Append("r");
  SendAll();
  const auto refused = queue().OnFailed(1, MakeError(Reason::kRecordTooLarge, "large"), now_);
  ASSERT_NE(refused, nullptr);
  EXPECT_EQ(ReasonOf(refused->status), Reason::kRecordTooLarge);
  EXPECT_FALSE(refused->maybe_appended);
  queue().OnFailed(2, MakeError(Reason::kStreamItemSkipped, "skipped"), now_);
  queue().OnFailed(3, MakeError(Reason::kStreamItemSkipped, "skipped"), now_);
  EXPECT_TRUE(queue().NeedsResume(kStream));
  EXPECT_THAT(SendAll(), ElementsAre(2, 3));
}

TEST_F(PartitionQueueTest, ABrokenStreamIsSentAgainInOrderByDefault) {
  for (int i = 0; i < 3; ++i) Append("r");
  SendAll();
  queue().OnAppended(1, 0, 0, now_);
  EXPECT_THAT(Ids(queue().OnStreamBroken(absl::UnavailableError("gone"), now_)), ElementsAre());
  now_ = queue().NextActionAt();
  EXPECT_FALSE(queue().NeedsResume(kStream + 1));
  EXPECT_THAT(SendAll(kStream + 1), ElementsAre(2, 3));
}

TEST_F(PartitionQueueTest, WithoutRetryOfTheUnknownABrokenStreamReportsItsBatches) {
  options_.retry_unknown = false;
  for (int i = 0; i < 2; ++i) Append("r");
  SendAll();
  Append("r");
  const auto failed = queue().OnStreamBroken(absl::UnavailableError("gone"), now_);
  EXPECT_THAT(Ids(failed), ElementsAre(1, 2));
  for (const auto& batch : failed) EXPECT_TRUE(batch->maybe_appended);
  EXPECT_THAT(SendAll(kStream + 1), ElementsAre(3)) << "what was never sent is not unknown";
}

TEST_F(PartitionQueueTest, AnUnknownOutcomeIsFinalForAtMostOnceAndTriedAgainForAtLeastOnce) {
  Append("r");
  SendAll();
  EXPECT_EQ(queue().OnFailed(1, MakeError(Reason::kLeaderChanged, "moved"), now_), nullptr);
  queue_.reset();
  options_.retry_unknown = false;
  next_id_ = 1;
  Append("r");
  SendAll();
  const auto failed = queue().OnFailed(1, MakeError(Reason::kLeaderChanged, "moved"), now_);
  ASSERT_NE(failed, nullptr);
  EXPECT_TRUE(failed->maybe_appended);
}

TEST_F(PartitionQueueTest, ABatchThatIsTriedTooLongExpiresAndSaysWhy) {
  options_.delivery_timeout = absl::Seconds(1);
  Append("r");
  SendAll();
  queue().OnFailed(1, MakeError(Reason::kStorageFull, "the disk is nearly full"), now_);
  now_ += absl::Seconds(1);
  EXPECT_LE(queue().NextActionAt(), now_);
  const auto expired = queue().Expire(now_);
  ASSERT_THAT(Ids(expired), ElementsAre(1));
  EXPECT_TRUE(absl::IsDeadlineExceeded(expired[0]->status));
  EXPECT_THAT(std::string(expired[0]->status.message()), ::testing::HasSubstr("the disk is nearly full"));
  EXPECT_FALSE(expired[0]->maybe_appended);
  EXPECT_EQ(queue().NextActionAt(), absl::InfiniteFuture());
}

TEST_F(PartitionQueueTest, WhatIsInFlightDoesNotExpire) {
  options_.delivery_timeout = absl::Seconds(1);
  Append("r");
  SendAll();
  EXPECT_THAT(Ids(queue().Expire(now_ + absl::Hours(1))), ElementsAre());
}

TEST_F(PartitionQueueTest, AnAnswerForABatchThatIsNotInFlightIsIgnored) {
  Append("r");
  EXPECT_EQ(queue().OnAppended(1, 0, 0, now_), nullptr);
  EXPECT_EQ(queue().OnFailed(9, MakeError(Reason::kStorageFull, "x"), now_), nullptr);
  EXPECT_THAT(SendAll(), ElementsAre(1));
}

}  // namespace
}  // namespace naru::client
