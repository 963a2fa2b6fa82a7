// What takes batches away: moved starts, retention, truncation.
#include "tests/storage/log/contract/store_contract.h"

namespace naru::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_P(StoreContract, AMovedStartGivesUpWhatLiesBelow) {
  for (int i = 0; i < 4; ++i) AppendOk(kLog, 2);
  ASSERT_THAT(MoveLogStart(kLog, 4), IsOk());
  const LogInfo info = Info(kLog);
  EXPECT_EQ(info.log_start, Offset(4));
  EXPECT_EQ(info.end, Offset(8));
  EXPECT_EQ(info.size_bytes, 2 * MakeBatchOf(2).info.size_bytes);
  EXPECT_THAT(Read(kLog, 3), FailsWith(Reason::kOffsetOutOfRange));
  EXPECT_EQ(Records(kLog).size(), 4u);
  EXPECT_EQ(Append(kLog, {"x"})->log_start, Offset(4));
}

TEST_P(StoreContract, AStartInsideABatchLeavesItReadableFromThere) {
  ASSERT_THAT(Append(kLog, {"a", "b", "c"}), IsOk());
  ASSERT_THAT(MoveLogStart(kLog, 2), IsOk());
  EXPECT_EQ(Info(kLog).log_start, Offset(2));
  const absl::StatusOr<ReadResult> read = Read(kLog, 2);
  ASSERT_THAT(read, IsOk());
  ASSERT_EQ(read->batches.size(), 1u);
  EXPECT_EQ(read->batches[0].base_offset, Offset(0));
  EXPECT_THAT(Records(kLog), ElementsAre(SeenRecord{2, "c"}));
  EXPECT_THAT(Read(kLog, 1), FailsWith(Reason::kOffsetOutOfRange));
}

TEST_P(StoreContract, TheStartNeverMovesBackwards) {
  for (int i = 0; i < 4; ++i) AppendOk(kLog, 2);
  ASSERT_THAT(MoveLogStart(kLog, 6), IsOk());
  EXPECT_THAT(MoveLogStart(kLog, 2), IsOk());
  EXPECT_THAT(MoveLogStart(kLog, 6), IsOk());
  EXPECT_EQ(Info(kLog).log_start, Offset(6));
}

TEST_P(StoreContract, TheStartDoesNotMoveAboveTheReadableEnd) {
  AppendOk(kLog, 3);
  const absl::Status refused = MoveLogStart(kLog, 4);
  ASSERT_THAT(refused, FailsWith(Reason::kOffsetOutOfRange));
  EXPECT_EQ(MetadataValue(refused, "log_start_offset"), "0");
  EXPECT_EQ(MetadataValue(refused, "high_watermark"), "3");
  EXPECT_EQ(Info(kLog).log_start, Offset(0));
  EXPECT_THAT(MoveLogStart(kLog, 3), IsOk());
  EXPECT_EQ(Info(kLog).size_bytes, 0);
  EXPECT_THAT(Batches(kLog), IsEmpty());
  EXPECT_EQ(AppendOk(kLog), 3) << "an emptied log goes on at its end";
}

TEST_P(StoreContract, TruncatingTakesAwayTheHead) {
  for (int i = 0; i < 4; ++i) AppendOk(kLog, 2);
  clock().AdvanceMs(1'000);
  ASSERT_THAT(Truncate(kLog, 4), IsOk());
  const LogInfo info = Info(kLog);
  EXPECT_EQ(info.end, Offset(4));
  EXPECT_EQ(info.durable_end, Offset(4));
  EXPECT_EQ(info.readable_end, Offset(4));
  EXPECT_EQ(info.size_bytes, 2 * MakeBatchOf(2).info.size_bytes);
  EXPECT_EQ(Records(kLog).size(), 4u);
  EXPECT_THAT(Read(kLog, 5), FailsWith(Reason::kOffsetOutOfRange));
  ASSERT_THAT(Append(kLog, {"again"}), IsOk());
  EXPECT_EQ(Records(kLog).back(), (SeenRecord{4, "again"}));
}

TEST_P(StoreContract, ABatchThatATruncationCutsGoesWhole) {
  AppendOk(kLog, 3);
  AppendOk(kLog, 3);
  ASSERT_THAT(Truncate(kLog, 5), IsOk());
  EXPECT_EQ(Info(kLog).end, Offset(3));
  EXPECT_EQ(AppendOk(kLog, 1), 3);
}

TEST_P(StoreContract, TruncatingAtOrAboveTheEndChangesNothing) {
  AppendOk(kLog, 3);
  const std::string before = Portrait(kLog);
  EXPECT_THAT(Truncate(kLog, 3), IsOk());
  EXPECT_THAT(Truncate(kLog, 100), IsOk());
  EXPECT_EQ(Portrait(kLog), before);
}

TEST_P(StoreContract, TruncatingBelowTheStartEmptiesTheLogThere) {
  for (int i = 0; i < 4; ++i) AppendOk(kLog, 2);
  ASSERT_THAT(MoveLogStart(kLog, 6), IsOk());
  ASSERT_THAT(Truncate(kLog, 3), IsOk());
  const LogInfo info = Info(kLog);
  EXPECT_EQ(info.log_start, Offset(3));
  EXPECT_EQ(info.end, Offset(3));
  EXPECT_EQ(info.readable_end, Offset(3));
  EXPECT_EQ(info.size_bytes, 0);
  EXPECT_THAT(Batches(kLog), IsEmpty());
  ASSERT_THAT(Append(kLog, {"x"}), IsOk());
  EXPECT_THAT(Records(kLog), ElementsAre(SeenRecord{3, "x"}));
}

TEST_P(StoreContract, ABatchThatHoldsTheStartAndIsCutTakesTheStartBackWithIt) {
  for (const int64_t end : {3, 4, 5}) {
    AppendOk(kLog, 2);
    AppendOk(kLog, 4);  // from 2
    ASSERT_THAT(MoveLogStart(kLog, 4), IsOk());
    ASSERT_THAT(Truncate(kLog, end), IsOk());
    EXPECT_EQ(Info(kLog).end, Offset(2)) << "where a replica can append the whole batch again";
    EXPECT_EQ(Info(kLog).log_start, Offset(2));
    ASSERT_THAT(Truncate(kLog, 0), IsOk());
  }
}

TEST_P(StoreContract, ALogCanBeEmptiedAndFilledAgain) {
  for (int round = 0; round < 3; ++round) {
    ASSERT_THAT(Append(kLog, {{"r" + std::to_string(round), 100}}), IsOk());
    AppendOk(kLog, 2);
    ASSERT_THAT(Truncate(kLog, 0), IsOk());
    EXPECT_EQ(Info(kLog).end, Offset(0));
    EXPECT_EQ(Info(kLog).last_append_time_ms, 0);
    EXPECT_EQ(FindByTime(kLog, 0), "none");
  }
  ASSERT_THAT(Append(kLog, {"last"}), IsOk());
  EXPECT_THAT(Records(kLog), ElementsAre(SeenRecord{0, "last"}));
}

TEST_P(StoreContract, AResetLogIsEmptyAndGoesOnAtItsStart) {
  for (const int64_t start : {20, 3, 0}) {
    AppendOk(kLog, 4);
    AppendOk(kLog, 4);
    ASSERT_THAT(Reset(kLog, start), IsOk());
    const LogInfo info = Info(kLog);
    EXPECT_EQ(info.log_start, Offset(start));
    EXPECT_EQ(info.end, Offset(start));
    EXPECT_EQ(info.durable_end, Offset(start));
    EXPECT_EQ(info.readable_end, Offset(start));
    EXPECT_EQ(info.size_bytes, 0);
    EXPECT_THAT(Batches(kLog), IsEmpty());
    EXPECT_THAT(Read(kLog, start + 1), FailsWith(Reason::kOffsetOutOfRange));
    EXPECT_EQ(FindByTime(kLog, 0), "none");
    EXPECT_EQ(AppendOk(kLog), start);
    EXPECT_EQ(Records(kLog).size(), 1u);
  }
}

TEST_P(StoreContract, AResetForgetsEpochsAndProducersButNotTheLeaderEpoch) {
  ASSERT_THAT(BeginEpoch(kLog, 3), IsOk());
  ASSERT_THAT(AppendStamped(kLog, {7, 1, 0}, 4), IsOk());
  ASSERT_THAT(Reset(kLog, 10), IsOk());
  EXPECT_EQ(Info(kLog).leader_epoch, LeaderEpoch(3));
  EXPECT_THAT(BeginEpoch(kLog, 2), FailsWith(Reason::kStaleLeaderEpoch));
  EXPECT_EQ(EpochEndOf(kLog, 3), "-1:10");
  EXPECT_EQ(Producers(kLog), "");
}

TEST_P(StoreContract, AResetLogKnowsTheProducersItIsTold) {
  ASSERT_THAT(AppendStamped(kLog, {7, 1, 0}, 4), IsOk());
  const ProducerState told{
      .producer_id = 8, .epoch = 2, .next_sequence = 5, .batches = {{3, 5, Offset(20), clock().NowMs()}}};
  ASSERT_THAT(Reset(kLog, 30, {told}), IsOk());
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(Producers(kLog), "8/2 next:5 [3,5)@20");
    EXPECT_THAT(AppendStamped(kLog, {8, 2, 6}, 1), FailsWith(Reason::kOutOfOrderSequence));
    under_test().Reopen();
  }
  const auto again = AppendStamped(kLog, {8, 2, 3}, 2);
  ASSERT_THAT(again, IsOk());
  EXPECT_TRUE(again->duplicate);
  EXPECT_EQ(again->base_offset, Offset(20));
  EXPECT_THAT(AppendStamped(kLog, {8, 2, 5}, 1), IsOk());
  EXPECT_EQ(Producers(kLog), "8/2 next:6 [3,5)@20 [5,6)@30");
  ASSERT_THAT(Truncate(kLog, 30), IsOk());
  EXPECT_EQ(Producers(kLog), "8/2 next:5 [3,5)@20");
}

TEST_P(StoreContract, WhereAProducerStoodIsKnownAfterATruncationWhatsoeverIsGone) {
  for (int64_t sequence = 0; sequence < 7; ++sequence) {
    ASSERT_THAT(AppendStamped(kLog, {7, 1, sequence}), IsOk());
  }
  ASSERT_THAT(MoveLogStart(kLog, 2), IsOk());
  ASSERT_THAT(Truncate(kLog, 2), IsOk());
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(Producers(kLog), "7/1 next:2 [2,2)@1");
    EXPECT_THAT(AppendStamped(kLog, {7, 1, 3}), FailsWith(Reason::kOutOfOrderSequence));
    under_test().Reopen();
  }
  EXPECT_THAT(AppendStamped(kLog, {7, 1, 2}), IsOk());
}

TEST_P(StoreContract, ProducersThatAResetCannotKnowAreRefused) {
  AppendOk(kLog, 4);
  const ProducerState above{.producer_id = 8, .next_sequence = 2, .batches = {{0, 2, Offset(30), 77}}};
  EXPECT_THAT(Reset(kLog, 30, {above}), FailsWith(Reason::kInvalidField));
  const ProducerState nothing{.producer_id = 8, .next_sequence = 2};
  EXPECT_THAT(Reset(kLog, 30, {nothing}), FailsWith(Reason::kInvalidField));
  EXPECT_EQ(Info(kLog).end, Offset(4));
}

TEST_P(StoreContract, ALogThatWasResetInsideABatchBeginsWithAllOfIt) {
  AppendOk(kLog, 2);
  ASSERT_THAT(Reset(kLog, 6), IsOk());
  ReplicaAppendRequest replica;
  replica.log = kLog;
  replica.batches = {ViewOf(MakeBatchOf(3), Offset(4), LeaderEpoch(2), 77)};
  ASSERT_THAT(AppendAsReplica(replica), IsOk());
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(Info(kLog).log_start, Offset(6));
    EXPECT_EQ(Info(kLog).end, Offset(7));
    EXPECT_THAT(Read(kLog, 5), FailsWith(Reason::kOffsetOutOfRange));
    EXPECT_EQ(Records(kLog).size(), 1u);
    EXPECT_EQ(EpochEndOf(kLog, 2), "2:7");
    under_test().Reopen();
  }
  EXPECT_THAT(AppendAsReplica(replica), FailsWith(Reason::kInvalidField)) << "only the first may";
  ASSERT_THAT(MoveLogStart(kLog, 7), IsOk());
  EXPECT_THAT(AppendAsReplica(replica), FailsWith(Reason::kInvalidField)) << "emptied is not reset";
  ASSERT_THAT(Reset(kLog, 7), IsOk());
  EXPECT_THAT(AppendAsReplica(replica), FailsWith(Reason::kInvalidField)) << "it ends at the start";
  EXPECT_EQ(AppendOk(kLog), 7);
}

TEST_P(StoreContract, WhatWasResetDoesNotComeBack) {
  AppendOk(kLog, 4);
  ASSERT_THAT(Reset(kLog, 2), IsOk());
  ASSERT_THAT(Append(kLog, {"x"}), IsOk());
  under_test().Reopen();
  EXPECT_EQ(Info(kLog).log_start, Offset(2));
  EXPECT_THAT(Records(kLog), ElementsAre(SeenRecord{2, "x"}));
}

TEST_P(StoreContract, ANegativeStartOfAResetIsRefused) {
  AppendOk(kLog, 4);
  EXPECT_THAT(Reset(kLog, -1), FailsWith(Reason::kInvalidField));
  EXPECT_THAT(Reset(LogId(999), 0), FailsWith(Reason::kPartitionNotFound));
  EXPECT_EQ(Info(kLog).end, Offset(4));
}

TEST_P(StoreContract, TheLastAppendTimeGoesBackWithATruncation) {
  clock().SetMs(1'000);
  AppendOk(kLog);
  clock().SetMs(2'000);
  AppendOk(kLog);
  ASSERT_THAT(Truncate(kLog, 1), IsOk());
  EXPECT_EQ(Info(kLog).last_append_time_ms, 1'000);
}

TEST_P(StoreContract, EpochsGoBackWithATruncationButWhoWasFencedStaysFenced) {
  for (const int32_t epoch : {1, 2, 5}) {
    ASSERT_THAT(BeginEpoch(kLog, epoch), IsOk());
    AppendOk(kLog, 2);
  }
  ASSERT_THAT(Truncate(kLog, 4), IsOk());
  EXPECT_EQ(EpochEndOf(kLog, 5), "2:4");
  ASSERT_THAT(Truncate(kLog, 3), IsOk());  // cuts the batch of epoch 2
  EXPECT_EQ(EpochEndOf(kLog, 5), "1:2");
  EXPECT_EQ(Info(kLog).leader_epoch, LeaderEpoch(5));
  EXPECT_THAT(BeginEpoch(kLog, 4), FailsWith(Reason::kStaleLeaderEpoch));

  ReplicaAppendRequest replica;  // what the new leader has there is of an older epoch
  replica.log = kLog;
  replica.batches.push_back(ViewOf(MakeBatchOf(3), Offset(2), LeaderEpoch(3), 1));
  EXPECT_THAT(AppendAsReplica(replica), IsOk());
  EXPECT_EQ(EpochEndOf(kLog, 5), "3:5");
}

TEST_P(StoreContract, ProducersGoBackWithATruncation) {
  ASSERT_THAT(AppendStamped(kLog, {7, 0, 0}, 2), IsOk());  // 0
  ASSERT_THAT(AppendStamped(kLog, {8, 0, 0}, 1), IsOk());  // 2
  ASSERT_THAT(AppendStamped(kLog, {7, 0, 2}, 2), IsOk());  // 3
  ASSERT_THAT(AppendStamped(kLog, {9, 4, 0}, 1), IsOk());  // 5
  ASSERT_THAT(Truncate(kLog, 3), IsOk());
  EXPECT_EQ(Producers(kLog), "7/0 next:2 [0,2)@0; 8/0 next:1 [0,1)@2");
  EXPECT_THAT(AppendStamped(kLog, {7, 0, 4}), FailsWith(Reason::kOutOfOrderSequence));
  const absl::StatusOr<Appended> again = AppendStamped(kLog, {7, 0, 2}, 2);
  ASSERT_THAT(again, IsOk());
  EXPECT_FALSE(again->duplicate) << "what was cut off is new when it is sent again";
  EXPECT_EQ(again->base_offset, Offset(3));
  EXPECT_THAT(AppendStamped(kLog, {9, 0, 0}), IsOk()) << "a producer whose batches all went is not known";
}

TEST_P(StoreContract, BatchesThatWereForgottenAreKnownAgainAfterATruncation) {
  for (int64_t i = 0; i < 12; ++i) {
    ASSERT_THAT(AppendStamped(kLog, {7, 0, i}), IsOk());
    AppendOk(kLog, 1);
  }
  ASSERT_THAT(Truncate(kLog, 14), IsOk());  // seven of the producer's are left
  EXPECT_EQ(Producers(kLog), "7/0 next:7 [2,3)@4 [3,4)@6 [4,5)@8 [5,6)@10 [6,7)@12");
  const absl::StatusOr<Appended> repeated = AppendStamped(kLog, {7, 0, 2});
  ASSERT_THAT(repeated, IsOk());
  EXPECT_TRUE(repeated->duplicate);
}

TEST_P(StoreContract, AProducersFormerEpochIsBackAfterATruncation) {
  ASSERT_THAT(AppendStamped(kLog, {7, 0, 0}, 3), IsOk());
  ASSERT_THAT(AppendStamped(kLog, {7, 1, 0}, 1), IsOk());
  ASSERT_THAT(AppendStamped(kLog, {7, 1, 1}, 1), IsOk());
  ASSERT_THAT(Truncate(kLog, 3), IsOk());
  EXPECT_EQ(Producers(kLog), "7/0 next:3 [0,3)@0");
  EXPECT_THAT(AppendStamped(kLog, {7, 0, 3}), IsOk());
}

TEST_P(StoreContract, WhatIsNotDurableCanBeTruncated) {
  AppendOk(kLog, 2);
  under_test().HoldDurability(true);
  Awaited<absl::StatusOr<Appended>> cut;
  store().Append(AppendOf(kLog, MakeBatchOf(2)), cut.Done());
  Awaited<absl::Status> truncated;
  store().Truncate(kLog, Offset(2), truncated.Done());
  Awaited<absl::StatusOr<Appended>> behind;
  store().Append(AppendOf(kLog, MakeBatch({"behind"})), behind.Done());
  under_test().HoldDurability(false);
  (void)cut.Wait();  // OK, or refused: it was both appended and taken away
  EXPECT_THAT(truncated.Wait(), IsOk());
  ASSERT_THAT(behind.Wait(), IsOk());
  EXPECT_EQ(behind.Wait()->base_offset, Offset(2));
  EXPECT_EQ(Records(kLog).back(), (SeenRecord{2, "behind"}));
  EXPECT_EQ(Info(kLog).durable_end, Offset(3));
}

TEST_P(StoreContract, WhatATruncationLeavesBecomesDurable) {
  AppendOk(kLog, 2);
  under_test().HoldDurability(true);
  Awaited<absl::StatusOr<Appended>> left;
  store().Append(AppendOf(kLog, MakeBatchOf(2)), left.Done());
  Awaited<absl::StatusOr<Appended>> cut;
  store().Append(AppendOf(kLog, MakeBatchOf(2)), cut.Done());
  Awaited<absl::Status> truncated;
  store().Truncate(kLog, Offset(4), truncated.Done());
  under_test().HoldDurability(false);
  ASSERT_THAT(left.Wait(), IsOk());
  (void)cut.Wait();
  ASSERT_THAT(truncated.Wait(), IsOk());
  EXPECT_EQ(Info(kLog).end, Offset(4));
  EXPECT_EQ(Info(kLog).durable_end, Offset(4));
  EXPECT_EQ(Info(kLog).readable_end, Offset(4));
}

TEST_P(StoreContract, RetentionByTimeTakesWhatIsOlder) {
  clock().SetMs(100'000);
  AppendOk(kLog, 2);
  clock().SetMs(150'000);
  AppendOk(kLog, 2);
  clock().SetMs(200'000);
  AppendOk(kLog, 2);
  ASSERT_THAT(store().Configure(kLog, {.retention_ms = 60'000}), IsOk());
  clock().SetMs(205'000);
  under_test().RunMaintenance();
  EXPECT_EQ(Info(kLog).log_start, Offset(2));
  clock().SetMs(1'000'000);
  under_test().RunMaintenance();
  EXPECT_EQ(Info(kLog).log_start, Offset(6));
  EXPECT_EQ(Info(kLog).end, Offset(6));
  EXPECT_EQ(Info(kLog).last_append_time_ms, 200'000);
}

TEST_P(StoreContract, RetentionBySizeTakesTheOldest) {
  for (int i = 0; i < 10; ++i) {
    ASSERT_THAT(Append(AppendOf(kLog, MakeLargeBatch(std::to_string(i), 1'000))), IsOk());
  }
  const int64_t batch_bytes = Info(kLog).size_bytes / 10;
  ASSERT_THAT(store().Configure(kLog, {.retention_bytes = 4 * batch_bytes + 10}), IsOk());
  under_test().RunMaintenance();
  EXPECT_EQ(Info(kLog).log_start, Offset(6));
  EXPECT_EQ(Info(kLog).size_bytes, 4 * batch_bytes);
  EXPECT_EQ(Records(kLog).size(), 4u);
}

TEST_P(StoreContract, RetentionLeavesLogsThatHaveNone) {
  clock().SetMs(1'000);
  AppendOk(kLog, 2);
  clock().SetMs(1'000'000'000);
  under_test().RunMaintenance();
  EXPECT_EQ(Info(kLog).log_start, Offset(0));
  EXPECT_EQ(Records(kLog).size(), 2u);
}

TEST_P(StoreContract, RetentionGoesByAppendTimeNotByTheRecords) {
  clock().SetMs(500'000);
  ASSERT_THAT(Append(kLog, {{"old by its own account", 1}}), IsOk());
  ASSERT_THAT(store().Configure(kLog, {.retention_ms = 60'000}), IsOk());
  under_test().RunMaintenance();
  EXPECT_EQ(Info(kLog).log_start, Offset(0));
}

}  // namespace
}  // namespace naru::testing
