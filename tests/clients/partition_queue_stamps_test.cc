// The stamps of a partition's batches, over failures, breaks and time-outs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string_view>
#include <vector>

#include "clients/cpp/partition_queue.h"
#include "storage/base/status.h"

namespace naru::client {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

class PartitionQueueStampsTest : public ::testing::Test {
 protected:
  PartitionQueueStampsTest() {
    options_.batch_bytes = 1;  // a batch for each record
    options_.linger = absl::ZeroDuration();
    options_.delivery_timeout = absl::Seconds(100);
    queue_ = std::make_unique<PartitionQueue>("t", PartitionId(0), options_, 1);
    queue_->StampFor(7);
  }
  void Append(int count) {
    for (int i = 0; i < count; ++i) queue_->Append("r", {}, 1, 0, now_, &next_id_);
  }
  // Sends all that may be sent; gives epoch and sequence of each.
  std::vector<std::pair<int64_t, int64_t>> SendAll() {
    std::vector<std::pair<int64_t, int64_t>> stamps;
    while (queue_->IsSendable(now_)) {
      const ProducerBatch* const batch = queue_->Send(stream_, now_);
      EXPECT_EQ(batch->stamp->producer_id, 7);
      stamps.emplace_back(batch->stamp->epoch, batch->stamp->base_sequence);
    }
    return stamps;
  }
  void Break() {
    broken_ = queue_->OnStreamBroken(absl::UnavailableError("gone"), now_);
    ++stream_;
  }
  void PassBackoff() { now_ += absl::Seconds(10); }

  ProducerOptions options_;
  absl::Time now_ = absl::UnixEpoch();
  int64_t next_id_ = 1;
  int64_t stream_ = 1;
  std::unique_ptr<PartitionQueue> queue_;
  std::vector<PartitionQueue::Batch> broken_;
};

TEST_F(PartitionQueueStampsTest, AtMostFiveBatchesAreUnderWayAndASequenceCountsRecords) {
  Append(6);
  EXPECT_THAT(SendAll(), ElementsAre(Pair(0, 0), Pair(0, 1), Pair(0, 2), Pair(0, 3), Pair(0, 4)));
}

TEST_F(PartitionQueueStampsTest, ABrokenStreamIsSentAgainWithTheSameStamps) {
  Append(3);
  SendAll();
  queue_->OnAppended(1, 0, 0, now_);
  Break();
  EXPECT_THAT(broken_, IsEmpty());
  PassBackoff();
  EXPECT_THAT(SendAll(), ElementsAre(Pair(0, 1), Pair(0, 2)));
  Append(1);
  EXPECT_THAT(SendAll(), ElementsAre(Pair(0, 3)));
}

TEST_F(PartitionQueueStampsTest, AnAnswerThatLeavesTheOutcomeUnknownIsTriedAgainWithTheSameStamp) {
  Append(2);
  SendAll();
  EXPECT_EQ(queue_->OnFailed(1, MakeError(Reason::kInternal, "a defect"), now_), nullptr);
  EXPECT_EQ(queue_->OnFailed(2, MakeError(Reason::kStreamItemSkipped, "skipped"), now_), nullptr);
  PassBackoff();
  EXPECT_THAT(SendAll(), ElementsAre(Pair(0, 0), Pair(0, 1)));
}

TEST_F(PartitionQueueStampsTest, ARefusedBatchLeavesNoGap) {
  Append(3);
  SendAll();
  EXPECT_NE(queue_->OnFailed(2, MakeError(Reason::kRecordTooLarge, "large"), now_), nullptr);
  queue_->OnFailed(3, MakeError(Reason::kStreamItemSkipped, "skipped"), now_);
  EXPECT_NE(queue_->OnAppended(1, 0, 0, now_), nullptr);
  EXPECT_THAT(SendAll(), ElementsAre(Pair(0, 1)));
}

TEST_F(PartitionQueueStampsTest, ABatchStampedAnewIsEncodedAnew) {
  Append(2);
  queue_->Send(stream_, now_)->encoded = true;
  queue_->Send(stream_, now_)->encoded = true;
  queue_->OnFailed(1, MakeError(Reason::kRecordTooLarge, "large"), now_);
  queue_->OnFailed(2, MakeError(Reason::kStreamItemSkipped, "skipped"), now_);
  const ProducerBatch* const again = queue_->Send(stream_, now_);
  EXPECT_EQ(again->stamp->base_sequence, 0);
  EXPECT_FALSE(again->encoded);
}

TEST_F(PartitionQueueStampsTest, BehindATimeOutWithAnUnknownOutcomeNewBatchesBeginTheNextEpoch) {
  Append(1);
  SendAll();
  Break();
  now_ += absl::Seconds(50);
  Append(1);
  now_ += absl::Seconds(51);
  const auto expired = queue_->Expire(now_);
  ASSERT_EQ(expired.size(), 1u);
  EXPECT_TRUE(expired[0]->maybe_appended);
  EXPECT_THAT(SendAll(), ElementsAre(Pair(1, 0)));
}

TEST_F(PartitionQueueStampsTest, BehindATimeOutWhatMayHaveBeenAppendedKeepsItsStampAndFailsClearly) {
  Append(1);
  now_ += absl::Seconds(50);
  Append(2);
  SendAll();
  Break();
  now_ += absl::Seconds(51);
  EXPECT_EQ(queue_->Expire(now_).size(), 1u);
  Append(1);
  EXPECT_THAT(SendAll(), ElementsAre(Pair(0, 1), Pair(0, 2), Pair(1, 0)));
  const auto failed = queue_->OnFailed(2, MakeError(Reason::kOutOfOrderSequence, "gap"), now_);
  ASSERT_NE(failed, nullptr);
  EXPECT_EQ(ReasonOf(failed->status), Reason::kOutOfOrderSequence);
  for (const int64_t id : {3, 4}) queue_->OnFailed(id, MakeError(Reason::kStreamItemSkipped, "x"), now_);
  EXPECT_THAT(SendAll(), ElementsAre(Pair(0, 2), Pair(1, 0)));
}

TEST_F(PartitionQueueStampsTest, ATimeOutWithoutHavingBeenHandedOverLeavesNoGap) {
  Append(1);
  now_ += absl::Seconds(50);
  Append(1);
  SendAll();
  queue_->OnFailed(1, MakeError(Reason::kStorageFull, "full"), now_);
  queue_->OnFailed(2, MakeError(Reason::kStreamItemSkipped, "skipped"), now_);
  now_ += absl::Seconds(51);
  EXPECT_EQ(queue_->Expire(now_).size(), 1u);
  EXPECT_THAT(SendAll(), ElementsAre(Pair(0, 0)));
}

TEST_F(PartitionQueueStampsTest, WhileSomethingIsUnderWayNothingIsSentAcrossAGap) {
  options_.in_flight_batches_max = 1;
  Append(1);
  now_ += absl::Seconds(1);
  SendAll();
  Break();
  PassBackoff();
  SendAll();
  Append(1);
  queue_->OnFailed(1, MakeError(Reason::kStorageFull, "full"), now_);
  PassBackoff();
  EXPECT_THAT(SendAll(), ElementsAre(Pair(0, 0))) << "still the oldest alone";
  EXPECT_NE(queue_->OnAppended(1, 0, 0, now_), nullptr);
  EXPECT_THAT(SendAll(), ElementsAre(Pair(0, 1)));
}

TEST_F(PartitionQueueStampsTest, OutOfOrderFailsTheBatchAndTheNextEpochBeginsBehindIt) {
  Append(3);
  SendAll();
  const auto failed = queue_->OnFailed(1, MakeError(Reason::kOutOfOrderSequence, "forgotten"), now_);
  ASSERT_NE(failed, nullptr);
  EXPECT_FALSE(failed->maybe_appended);
  queue_->OnFailed(2, MakeError(Reason::kStreamItemSkipped, "skipped"), now_);
  queue_->OnFailed(3, MakeError(Reason::kStreamItemSkipped, "skipped"), now_);
  EXPECT_THAT(SendAll(), ElementsAre(Pair(1, 0), Pair(1, 1)));
}

TEST_F(PartitionQueueStampsTest, WhereTheProducerWasForgottenItBeginsTheNextEpochWithoutALoss) {
  Append(1);
  SendAll();
  queue_->OnAppended(1, 0, 0, now_);
  Append(2);
  SendAll();
  const absl::Status forgotten =
      MakeError(Reason::kOutOfOrderSequence, "forgotten", {{"expected_sequence", "0"}});
  EXPECT_EQ(queue_->OnFailed(2, forgotten, now_), nullptr);
  queue_->OnFailed(3, MakeError(Reason::kStreamItemSkipped, "skipped"), now_);
  PassBackoff();
  EXPECT_THAT(SendAll(), ElementsAre(Pair(1, 0), Pair(1, 1)));
  EXPECT_NE(queue_->OnFailed(2, forgotten, now_), nullptr) << "at 0 it would be no answer";
}

TEST_F(PartitionQueueStampsTest, AFencedProducerFailsEverythingAndNeverRaisesItsEpoch) {
  Append(2);
  SendAll();
  EXPECT_NE(queue_->OnFailed(1, MakeError(Reason::kProducerFenced, "fenced"), now_), nullptr);
  queue_->OnFailed(2, MakeError(Reason::kStreamItemSkipped, "skipped"), now_);
  EXPECT_THAT(SendAll(), ElementsAre(Pair(0, 0)));
}

TEST_F(PartitionQueueStampsTest, AMessageThatNoBrokerTakesShutsOutNothingBehindIt) {
  Append(3);
  SendAll();
  const absl::Status refused = absl::ResourceExhaustedError("Received message larger than max");
  EXPECT_THAT(queue_->OnStreamBroken(refused, now_), IsEmpty());
  PassBackoff();
  ASSERT_TRUE(queue_->NextGoesAlone());
  queue_->Send(++stream_, now_);
  const auto failed = queue_->OnStreamBroken(refused, now_);
  ASSERT_EQ(failed.size(), 1u);
  EXPECT_FALSE(failed[0]->maybe_appended) << "it was never taken";
  PassBackoff();
  EXPECT_THAT(SendAll(), ElementsAre(Pair(1, 0), Pair(1, 1)))
      << "those behind it were not appended, and what is left of them is shut out";
}

}  // namespace
}  // namespace naru::client
