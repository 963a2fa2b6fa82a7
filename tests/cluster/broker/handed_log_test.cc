#include "cluster/broker/handed_log.h"

#include <gtest/gtest.h>

#include "storage/base/clock.h"
#include "storage/log/memory_log_store.h"
#include "tests/storage/log/record_batches.h"

namespace naru::cluster {
namespace {

constexpr LogId kLog(1);

class HandedLogTest : public ::testing::Test {
 protected:
  HandedLogTest() {
    store_.CreateLogs({kLog}, [](const absl::Status& status) { ASSERT_TRUE(status.ok()) << status; });
    log_ = std::make_unique<HandedLog>(store_, kLog);
  }
  static StoredBatchView Batch(int64_t base_offset, int32_t epoch) {
    return testing::ViewOf(testing::MakeBatchOf(10), Offset(base_offset), LeaderEpoch(epoch), 1);
  }
  void Append(std::vector<StoredBatchView> batches) {
    store_.AppendAsReplica(
        {.log = kLog, .batches = std::move(batches)},
        [](const absl::StatusOr<Appended>& appended) { ASSERT_TRUE(appended.ok()) << appended.status(); });
  }
  std::pair<int32_t, int64_t> EndOf(int32_t epoch) const {
    const EpochEnd end = log_->EndOffsetForEpoch(LeaderEpoch(epoch));
    return {end.epoch.value(), end.end.value()};
  }

  ManualClock clock_;
  MemoryLogStore store_{clock_};
  std::unique_ptr<HandedLog> log_;
};

using Pair = std::pair<int32_t, int64_t>;

TEST_F(HandedLogTest, WhatWasHandedOverCountsBeforeTheStoreHasIt) {
  Append({Batch(0, 1)});
  log_->Hand({Batch(10, 1), Batch(20, 3)});
  EXPECT_EQ(log_->Positions().end, Offset(30));
  EXPECT_EQ(log_->Positions().durable_end, Offset(10)) << "but it is not vouched for";
  EXPECT_EQ(log_->LastEpoch(), LeaderEpoch(3));
  EXPECT_EQ(EndOf(1), Pair(1, 20));
  EXPECT_EQ(EndOf(2), Pair(1, 20));
  EXPECT_EQ(EndOf(3), Pair(3, 30));
  EXPECT_EQ(EndOf(0), Pair(-1, 0));
}

TEST_F(HandedLogTest, ItSaysTheSameOnceTheStoreHasIt) {
  const std::vector<StoredBatchView> batches = {Batch(0, 1), Batch(10, 3)};
  log_->Hand(batches);
  for (int applied = 0; applied <= 2; ++applied) {
    if (applied > 0) Append({batches[static_cast<size_t>(applied) - 1]});
    EXPECT_EQ(log_->Positions().end, Offset(20)) << applied;
    EXPECT_EQ(EndOf(1), Pair(1, 10)) << applied;
    EXPECT_EQ(EndOf(2), Pair(1, 10)) << applied;
    EXPECT_EQ(EndOf(9), Pair(3, 20)) << applied;
  }
}

TEST_F(HandedLogTest, WhatIsSettledIsNotCountedAnyMore) {
  log_->Hand({Batch(0, 1)});
  log_->Settle();
  EXPECT_EQ(log_->Positions().end, Offset(0));
  EXPECT_EQ(log_->LastEpoch(), LeaderEpoch(-1));
}

TEST_F(HandedLogTest, AMovedStartIsClaimedWhenItIsDurable) {
  Append({Batch(0, 1)});
  store_.MoveLogStart(kLog, Offset(5), [](const absl::Status&) {});
  EXPECT_EQ(log_->Positions().start, Offset(5));
  EXPECT_EQ(log_->Positions().durable_start, Offset(0));
  log_->StartIsDurable(Offset(5));
  EXPECT_EQ(log_->Positions().durable_start, Offset(5));
}

}  // namespace
}  // namespace naru::cluster
