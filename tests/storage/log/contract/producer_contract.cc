// Idempotent producers: sequences, repetitions, fencing.
#include "tests/storage/log/contract/store_contract.h"

namespace naru::testing {
namespace {

constexpr int64_t kProducer = 77;

TEST_P(StoreContract, SequencesMustFollowEachOther) {
  EXPECT_THAT(AppendStamped(kLog, {kProducer, 0, 0}, 3), IsOk());
  EXPECT_THAT(AppendStamped(kLog, {kProducer, 0, 3}, 2), IsOk());
  const absl::StatusOr<Appended> gap = AppendStamped(kLog, {kProducer, 0, 7});
  ASSERT_THAT(gap, FailsWith(Reason::kOutOfOrderSequence));
  EXPECT_EQ(MetadataValue(gap.status(), "expected_sequence"), "5");
  EXPECT_THAT(AppendStamped(kLog, {kProducer, 0, 5}), IsOk());
  EXPECT_EQ(Info(kLog).end, Offset(6));
  EXPECT_EQ(Producers(kLog), "77/0 next:6 [0,3)@0 [3,5)@3 [5,6)@5");
}

TEST_P(StoreContract, ANewProducerStartsAtSequenceZero) {
  const absl::StatusOr<Appended> refused = AppendStamped(kLog, {kProducer, 0, 4});
  ASSERT_THAT(refused, FailsWith(Reason::kOutOfOrderSequence));
  EXPECT_EQ(MetadataValue(refused.status(), "expected_sequence"), "0");
  EXPECT_EQ(Producers(kLog), "");
  EXPECT_THAT(AppendStamped(kLog, {kProducer, 9, 0}), IsOk());
}

TEST_P(StoreContract, ARepeatedBatchIsAnsweredAsTheFirstTimeAndNotAppended) {
  clock().SetMs(1'000);
  ASSERT_THAT(AppendStamped(kLog, {kProducer, 0, 0}, 3), IsOk());
  clock().SetMs(2'000);
  const absl::StatusOr<Appended> repeated = AppendStamped(kLog, {kProducer, 0, 0}, 3);
  ASSERT_THAT(repeated, IsOk());
  EXPECT_TRUE(repeated->duplicate);
  EXPECT_EQ(repeated->base_offset, Offset(0));
  EXPECT_EQ(repeated->next_offset, Offset(3));
  EXPECT_EQ(repeated->append_time_ms, 1'000);
  EXPECT_EQ(Info(kLog).end, Offset(3));
}

TEST_P(StoreContract, TheLastFiveBatchesAreKnownAsRepeated) {
  for (int64_t i = 0; i < 8; ++i) ASSERT_THAT(AppendStamped(kLog, {kProducer, 0, i}), IsOk());
  for (int64_t i = 3; i < 8; ++i) {
    const absl::StatusOr<Appended> repeated = AppendStamped(kLog, {kProducer, 0, i});
    ASSERT_THAT(repeated, IsOk());
    EXPECT_TRUE(repeated->duplicate);
    EXPECT_EQ(repeated->base_offset, Offset(i));
  }
  EXPECT_THAT(AppendStamped(kLog, {kProducer, 0, 2}), FailsWith(Reason::kOutOfOrderSequence));
  EXPECT_EQ(Info(kLog).end, Offset(8));
}

TEST_P(StoreContract, ARepetitionOfAnotherLengthIsOutOfOrder) {
  ASSERT_THAT(AppendStamped(kLog, {kProducer, 0, 0}, 3), IsOk());
  EXPECT_THAT(AppendStamped(kLog, {kProducer, 0, 0}, 2), FailsWith(Reason::kOutOfOrderSequence));
  EXPECT_THAT(AppendStamped(kLog, {kProducer, 0, 1}, 2), FailsWith(Reason::kOutOfOrderSequence));
}

TEST_P(StoreContract, AnOlderProducerEpochIsFenced) {
  ASSERT_THAT(AppendStamped(kLog, {kProducer, 3, 0}), IsOk());
  const absl::StatusOr<Appended> fenced = AppendStamped(kLog, {kProducer, 2, 0});
  ASSERT_THAT(fenced, FailsWith(Reason::kProducerFenced));
  EXPECT_EQ(MetadataValue(fenced.status(), "producer_epoch"), "3");
}

TEST_P(StoreContract, ANewProducerEpochStartsAtSequenceZero) {
  ASSERT_THAT(AppendStamped(kLog, {kProducer, 0, 0}, 5), IsOk());
  const absl::StatusOr<Appended> refused = AppendStamped(kLog, {kProducer, 1, 5});
  ASSERT_THAT(refused, FailsWith(Reason::kOutOfOrderSequence));
  EXPECT_EQ(MetadataValue(refused.status(), "expected_sequence"), "0");
  const absl::StatusOr<Appended> appended = AppendStamped(kLog, {kProducer, 1, 0}, 5);
  ASSERT_THAT(appended, IsOk());
  EXPECT_FALSE(appended->duplicate) << "the same sequences under another epoch are another batch";
  EXPECT_EQ(Producers(kLog), "77/1 next:5 [0,5)@5");
}

TEST_P(StoreContract, ProducersAreKeptApartByIdAndLog) {
  ASSERT_THAT(AppendStamped(kLog, {kProducer, 0, 0}, 2), IsOk());
  ASSERT_THAT(AppendStamped(kLog, {5, 0, 0}, 1), IsOk());
  ASSERT_THAT(AppendStamped(kOther, {kProducer, 0, 0}, 4), IsOk());
  EXPECT_EQ(Producers(kLog), "5/0 next:1 [0,1)@2; 77/0 next:2 [0,2)@0");
  EXPECT_EQ(Producers(kOther), "77/0 next:4 [0,4)@0");
}

TEST_P(StoreContract, PipelinedBatchesOfAProducerAreCheckedInTheOrderOfTheCalls) {
  std::vector<Awaited<absl::StatusOr<Appended>>> appends(50);
  for (size_t i = 0; i < appends.size(); ++i) {
    AppendRequest request = AppendOf(kLog, MakeBatchOf(2));
    request.producer = ProducerStamp{kProducer, 0, static_cast<int64_t>(i) * 2};
    store().Append(request, appends[i].Done());
  }
  for (auto& append : appends) EXPECT_THAT(append.Wait(), IsOk());
  EXPECT_EQ(Info(kLog).end, Offset(100));
}

TEST_P(HeldSyncsContract, ARepetitionIsNotAckedBeforeTheBatchItselfIsDurable) {
  under_test().HoldDurability(true);
  Awaited<absl::StatusOr<Appended>> first;
  Awaited<absl::StatusOr<Appended>> repeated;
  AppendRequest request = AppendOf(kLog, MakeBatchOf(1));
  request.producer = ProducerStamp{kProducer, 0, 0};
  store().Append(request, first.Done());
  store().Append(request, repeated.Done());
  ASSERT_THAT(store().Configure(kOther, {.durability = Durability::kBackground}), IsOk());
  ASSERT_THAT(Append(kOther, {"written behind them"}), IsOk());
  EXPECT_FALSE(first.done());
  EXPECT_FALSE(repeated.done());
  under_test().HoldDurability(false);
  EXPECT_THAT(first.Wait(), IsOk());
  ASSERT_THAT(repeated.Wait(), IsOk());
  EXPECT_TRUE(repeated.Wait()->duplicate);
}

TEST_P(StoreContract, ARetryWithAnExpectedOffsetIsADuplicateAndNoMismatch) {
  AppendRequest request = AppendOf(kLog, MakeBatchOf(2));
  request.producer = ProducerStamp{kProducer, 0, 0};
  request.expected_offset = Offset(0);
  ASSERT_THAT(Append(request), IsOk());
  const absl::StatusOr<Appended> repeated = Append(request);
  ASSERT_THAT(repeated, IsOk());
  EXPECT_TRUE(repeated->duplicate);
}

TEST_P(StoreContract, WhatIsKnownOfAProducerOutlivesItsBatches) {
  for (int64_t i = 0; i < 3; ++i) ASSERT_THAT(AppendStamped(kLog, {kProducer, 1, i}), IsOk());
  ASSERT_THAT(MoveLogStart(kLog, 3), IsOk());
  EXPECT_THAT(AppendStamped(kLog, {kProducer, 0, 0}), FailsWith(Reason::kProducerFenced));
  EXPECT_THAT(AppendStamped(kLog, {kProducer, 1, 4}), FailsWith(Reason::kOutOfOrderSequence));
  const absl::StatusOr<Appended> repeated = AppendStamped(kLog, {kProducer, 1, 1});
  ASSERT_THAT(repeated, IsOk());
  EXPECT_TRUE(repeated->duplicate);
  EXPECT_THAT(AppendStamped(kLog, {kProducer, 1, 3}), IsOk());
}

TEST_P(StoreContract, AFailedAppendLeavesTheProducerAsItWas) {
  ASSERT_THAT(AppendStamped(kLog, {kProducer, 0, 0}), IsOk());
  AppendRequest request = AppendOf(kLog, MakeBatchOf(1));
  request.producer = ProducerStamp{kProducer, 1, 0};
  request.expected_offset = Offset(50);
  ASSERT_THAT(Append(request), FailsWith(Reason::kExpectedOffsetMismatch));
  EXPECT_EQ(Producers(kLog), "77/0 next:1 [0,1)@0");
}

}  // namespace
TEST_P(StoreContract, AProducerThatWasSilentForItsExpiryIsForgotten) {
  clock().SetMs(1'000);
  ASSERT_THAT(AppendStamped(kLog, {kProducer, 3, 0}), IsOk());
  ASSERT_THAT(AppendStamped(kLog, {kProducer, 3, 1}), IsOk());
  clock().SetMs(1'000 + kDefaultProducerExpiryMs);
  EXPECT_TRUE(AppendStamped(kLog, {kProducer, 3, 1})->duplicate) << "not longer than that";
  clock().SetMs(1'001 + kDefaultProducerExpiryMs);
  const absl::StatusOr<Appended> refused = AppendStamped(kLog, {kProducer, 3, 2});
  ASSERT_THAT(refused, FailsWith(Reason::kOutOfOrderSequence));
  EXPECT_EQ(MetadataValue(refused.status(), "expected_sequence"), "0");
  const absl::StatusOr<Appended> anew = AppendStamped(kLog, {kProducer, 0, 0});
  ASSERT_THAT(anew, IsOk());
  EXPECT_FALSE(anew->duplicate);
  EXPECT_EQ(Producers(kLog), "77/0 next:1 [0,1)@2");
}

TEST_P(StoreContract, AnyAppendForgetsThoseThatExpired) {
  clock().SetMs(1'000);
  ASSERT_THAT(AppendStamped(kLog, {1, 0, 0}), IsOk());
  clock().SetMs(2'000);
  ASSERT_THAT(AppendStamped(kLog, {2, 0, 0}), IsOk());
  clock().SetMs(1'500 + kDefaultProducerExpiryMs);
  EXPECT_EQ(Producers(kLog), "1/0 next:1 [0,1)@0; 2/0 next:1 [0,1)@1");
  ASSERT_THAT(Append(AppendOf(kLog, MakeBatchOf(1))), IsOk());
  EXPECT_EQ(Producers(kLog), "2/0 next:1 [0,1)@1");
}

}  // namespace naru::testing
