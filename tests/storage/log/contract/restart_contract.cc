// What a store still knows when it is opened again.
#include <random>

#include "tests/storage/log/contract/store_contract.h"

namespace naru::testing {
namespace {

using ::testing::ElementsAre;

TEST_P(StoreContract, EverythingIsAsItWasAfterAStopAndAStart) {
  for (const int32_t epoch : {2, 3, 7}) {
    ASSERT_THAT(BeginEpoch(kLog, epoch), IsOk());
    for (int64_t i = 0; i < 9; ++i) {
      clock().AdvanceMs(1'000);
      ASSERT_THAT(AppendStamped(kLog, {40 + i % 2, epoch, i / 2}), IsOk());
      ASSERT_THAT(Append(kLog, {{"x", 1'000 * i}, {"y", 5'000 - i}}), IsOk());
    }
  }
  ASSERT_THAT(MoveLogStart(kLog, 11), IsOk());
  ASSERT_THAT(Truncate(kLog, 70), IsOk());
  ASSERT_THAT(BeginEpoch(kLog, 9), IsOk());
  ReplicaAppendRequest replica;
  replica.log = kOther;
  replica.batches = {ViewOf(MakeBatchOf(4), Offset(0), LeaderEpoch(6), 77)};
  replica.batches[0].producer = ProducerStamp{1, 2, 30};
  ASSERT_THAT(AppendAsReplica(replica), IsOk());
  ASSERT_THAT(Create({LogId(3), LogId(4)}), IsOk());
  AppendOk(LogId(3), 5);
  ASSERT_THAT(Delete({LogId(3)}), IsOk());

  const std::string log = Portrait(kLog);
  const std::string other = Portrait(kOther);
  const std::string empty = Portrait(LogId(4));
  for (int round = 0; round < 3; ++round) {
    under_test().Reopen();
    EXPECT_THAT(store().Logs(), ElementsAre(kLog, kOther, LogId(4)));
    EXPECT_EQ(Portrait(kLog), log);
    EXPECT_EQ(Portrait(kOther), other);
    EXPECT_EQ(Portrait(LogId(4)), empty);
    EXPECT_THAT(Create({LogId(3)}), FailsWith(Reason::kInvalidTopicState));
  }
}

TEST_P(StoreContract, ALogGoesOnWhereItEndedAfterAStart) {
  ASSERT_THAT(AppendStamped(kLog, {7, 1, 0}, 3), IsOk());
  ASSERT_THAT(BeginEpoch(kLog, 4), IsOk());
  under_test().Reopen();
  EXPECT_THAT(BeginEpoch(kLog, 3), FailsWith(Reason::kStaleLeaderEpoch));
  EXPECT_TRUE(AppendStamped(kLog, {7, 1, 0}, 3)->duplicate);
  EXPECT_THAT(AppendStamped(kLog, {7, 0, 0}), FailsWith(Reason::kProducerFenced));
  const absl::StatusOr<Appended> next = AppendStamped(kLog, {7, 1, 3}, 1);
  ASSERT_THAT(next, IsOk());
  EXPECT_EQ(next->base_offset, Offset(3));
  EXPECT_EQ(Batches(kLog).back().leader_epoch, LeaderEpoch(4));
}

TEST_P(StoreContract, AProducerThatWasForgottenStaysForgotten) {
  clock().SetMs(1'000);
  ASSERT_THAT(AppendStamped(kLog, {1, 0, 0}), IsOk());
  under_test().Reopen();
  EXPECT_EQ(Producers(kLog), "1/0 next:1 [0,1)@0");
  clock().AdvanceMs(kDefaultProducerExpiryMs + 1);
  ASSERT_THAT(AppendStamped(kLog, {2, 0, 0}), IsOk());
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(Producers(kLog), "2/0 next:1 [0,1)@1");
    under_test().Reopen();
  }
  EXPECT_THAT(AppendStamped(kLog, {1, 0, 1}), FailsWith(Reason::kOutOfOrderSequence));
}

TEST_P(StoreContract, WhatWasTruncatedDoesNotComeBack) {
  for (int i = 0; i < 5; ++i) AppendOk(kLog, 2);
  ASSERT_THAT(Truncate(kLog, 4), IsOk());
  under_test().Reopen();
  EXPECT_EQ(Info(kLog).end, Offset(4));
  ASSERT_THAT(Append(kLog, {"new"}), IsOk());
  under_test().Reopen();
  EXPECT_EQ(Records(kLog).size(), 5u);
  EXPECT_EQ(Records(kLog).back(), (SeenRecord{4, "new"}));
}

TEST_P(StoreContract, AMovedStartStaysMoved) {
  for (int i = 0; i < 5; ++i) AppendOk(kLog, 2);
  ASSERT_THAT(MoveLogStart(kLog, 5), IsOk());
  under_test().Reopen();
  EXPECT_EQ(Info(kLog).log_start, Offset(5));
  EXPECT_EQ(Records(kLog).front().offset, 5);
  under_test().RunMaintenance();
  under_test().Reopen();
  EXPECT_EQ(Info(kLog).log_start, Offset(5));
}

TEST_P(StoreContract, SettingsAreTheDefaultsAfterAStart) {
  ASSERT_THAT(store().Configure(kLog, {.retention_bytes = 1, .append_time_stamped = true}), IsOk());
  under_test().Reopen();
  ASSERT_THAT(Append(kLog, {"x"}), IsOk());
  EXPECT_FALSE(Batches(kLog).at(0).append_time_stamped);
  under_test().RunMaintenance();
  EXPECT_EQ(Info(kLog).log_start, Offset(0));
}

TEST_P(StoreContract, TimesAreFoundAfterAStart) {
  for (const int64_t timestamp : {500, 100, 900, 300}) ASSERT_THAT(Append(kLog, {{"x", timestamp}}), IsOk());
  under_test().Reopen();
  EXPECT_EQ(FindByTime(kLog, 501), "2@900");
  ASSERT_THAT(Append(kLog, {{"x", 950}}), IsOk());
  EXPECT_EQ(FindByTime(kLog, 901), "4@950");
  EXPECT_EQ(FindByTime(kLog, 0), "0@500");
}

TEST_P(StoreContract, StopMakesBackgroundLogsDurable) {
  ASSERT_THAT(store().Configure(kLog, {.durability = Durability::kBackground}), IsOk());
  for (int i = 0; i < 20; ++i) AppendOk(kLog);
  under_test().Reopen();
  EXPECT_EQ(Info(kLog).durable_end, Offset(20));
  EXPECT_EQ(Records(kLog).size(), 20u);
}

TEST_P(StoreContract, RandomHistoriesSurviveStarts) {
  std::mt19937 random(4711);
  const auto pick = [&random](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  for (int round = 0; round < 4; ++round) {
    for (int step = 0; step < 60; ++step) {
      const LogId log = pick(2) == 0 ? kLog : kOther;
      const LogInfo info = Info(log);
      clock().AdvanceMs(pick(100));
      const int64_t span = info.end - info.log_start;
      switch (pick(10)) {
        case 0:
          ASSERT_THAT(MoveLogStart(log, info.log_start.value() + pick(static_cast<int>(span) + 1)), IsOk());
          break;
        case 1:
          ASSERT_THAT(Truncate(log, info.end.value() - pick(static_cast<int>(span) + 1)), IsOk());
          break;
        case 2:
          ASSERT_THAT(BeginEpoch(log, info.leader_epoch.value() + pick(2)), IsOk());
          break;
        case 3:
          ASSERT_THAT(Append(log, {{"t", 1 + pick(100'000)}}), IsOk());
          break;
        case 4:
        case 5:
          (void)AppendStamped(log, {pick(3), pick(2), pick(6)});  // refused as often as not
          break;
        default:
          AppendOk(log, 1 + pick(4));
      }
    }
    const std::string log = Portrait(kLog);
    const std::string other = Portrait(kOther);
    under_test().Reopen();
    ASSERT_EQ(Portrait(kLog), log) << "in round " << round;
    ASSERT_EQ(Portrait(kOther), other) << "in round " << round;
  }
}

}  // namespace
}  // namespace naru::testing
