#include "services/rpc/memory_gate.h"

#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace naru::services {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class MemoryGateTest : public ::testing::Test {
 protected:
  // Takes or waits; what is granted later is kept in granted_.
  MemoryGate::WaitId Take(int64_t bytes, int name, MemoryGate::Line line = MemoryGate::Line::kPrompt) {
    MemoryGate::Hold hold;
    MemoryGate::WaitId wait = 0;
    const auto granted = [this, name](MemoryGate::Hold later) {
      granted_.push_back(name);
      holds_.push_back(std::move(later));
    };
    taken_ = gate_.TakeOrWait(bytes, hold, wait, granted, line);
    if (wait == 0 && taken_) holds_.push_back(std::move(hold));
    waits_.push_back(wait);
    return wait;
  }
  void TearDown() override {
    for (const MemoryGate::WaitId wait : waits_) gate_.CancelWait(wait);
  }

  MemoryGate gate_{100, 150, [this] { ++contended_; }};
  int contended_ = 0;
  bool taken_ = false;
  std::vector<MemoryGate::WaitId> waits_;
  std::vector<int> granted_;
  std::vector<MemoryGate::Hold> holds_;
};

TEST_F(MemoryGateTest, WhatFitsIsTakenAtOnceAndGivenBackOnDestruction) {
  {
    std::optional<MemoryGate::Hold> hold = gate_.TryTake(60);
    ASSERT_TRUE(hold);
    EXPECT_EQ(gate_.used_bytes(), 60);
    EXPECT_FALSE(gate_.TryTake(41));
    EXPECT_EQ(gate_.refusals(), 1);
    MemoryGate::Hold moved = *std::move(hold);
    EXPECT_EQ(gate_.used_bytes(), 60);
  }
  EXPECT_EQ(gate_.used_bytes(), 0);
}

TEST_F(MemoryGateTest, WaitersAreServedInOrderOfArrivalAndNobodyOvertakes) {
  EXPECT_EQ(Take(100, 0), 0u);
  EXPECT_NE(Take(80, 1), 0u);
  EXPECT_NE(Take(10, 2), 0u);
  EXPECT_FALSE(gate_.TryTake(1)) << "others wait";
  holds_.front().Resize(90);
  EXPECT_THAT(granted_, IsEmpty()) << "the ten bytes are kept for the first";
  holds_.front().Release();
  EXPECT_THAT(granted_, ElementsAre(1, 2));
  EXPECT_EQ(gate_.used_bytes(), 90);
}

TEST_F(MemoryGateTest, ThePromptLineGoesBeforeTheLateOne) {
  Take(100, 0);
  Take(20, 1, MemoryGate::Line::kLate);
  Take(20, 2);
  Take(20, 3, MemoryGate::Line::kLate);
  Take(20, 4);
  holds_.front().Release();
  EXPECT_THAT(granted_, ElementsAre(2, 4, 1, 3));
}

TEST_F(MemoryGateTest, WhoComesPromptlyTakesWhatIsTooLittleForTheLate) {
  Take(80, 0);
  Take(30, 1, MemoryGate::Line::kLate);
  EXPECT_EQ(Take(20, 2), 0u);
  EXPECT_NE(Take(1, 3, MemoryGate::Line::kLate), 0u) << "others wait in its line";
}

TEST_F(MemoryGateTest, TheLateLineGetsATurnAfterEightOfThePromptOne) {
  Take(100, 0);
  Take(7, 100, MemoryGate::Line::kLate);
  Take(7, 200, MemoryGate::Line::kLate);
  for (int i = 1; i <= 10; ++i) Take(7, i);
  holds_.front().Release();
  EXPECT_THAT(granted_, ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 100, 9, 10, 200));
}

TEST_F(MemoryGateTest, TurnsTakenWithoutWaitingCountToo) {
  Take(90, 0);
  Take(50, 100, MemoryGate::Line::kLate);
  for (int i = 1; i <= MemoryGate::kPromptTurnsMax; ++i) EXPECT_EQ(Take(1, i), 0u);
  EXPECT_NE(Take(1, 9), 0u) << "it is the turn of the one that waits";
  holds_.front().Release();
  EXPECT_THAT(granted_, ElementsAre(100, 9));
}

TEST_F(MemoryGateTest, TheFirstThatWaitsIsTold) {
  Take(100, 0);
  EXPECT_EQ(contended_, 0);
  Take(10, 1);
  Take(10, 2, MemoryGate::Line::kLate);
  EXPECT_EQ(contended_, 1);
  holds_.front().Release();
  EXPECT_FALSE(gate_.contended());
  Take(90, 3, MemoryGate::Line::kLate);
  EXPECT_EQ(contended_, 2);
}

TEST_F(MemoryGateTest, MemoryIsScarceFromAQuarterOnAndWhileAnybodyWaits) {
  Take(25, 0);
  EXPECT_FALSE(gate_.scarce());
  Take(76, 1);
  EXPECT_TRUE(gate_.scarce()) << "somebody waits";
  gate_.CancelWait(waits_.back());
  EXPECT_FALSE(gate_.scarce());
  Take(1, 2);
  EXPECT_TRUE(gate_.scarce());
}

TEST_F(MemoryGateTest, ACancelledWaitLetsThoseBehindItThrough) {
  Take(50, 0);
  const MemoryGate::WaitId wait = Take(60, 1);
  Take(50, 2);
  EXPECT_TRUE(gate_.CancelWait(wait));
  EXPECT_FALSE(gate_.CancelWait(wait));
  EXPECT_THAT(granted_, ElementsAre(2));
  EXPECT_EQ(gate_.waiting_bytes(), 0);
}

TEST_F(MemoryGateTest, MoreThanMayWaitIsRefused) {
  Take(100, 0);
  Take(100, 1);
  EXPECT_TRUE(taken_);
  Take(51, 2);
  EXPECT_FALSE(taken_);
  Take(50, 3);
  EXPECT_TRUE(taken_);
}

TEST_F(MemoryGateTest, MoreThanTheLimitCountsAsTheLimit) {
  EXPECT_EQ(Take(1000, 0), 0u);
  EXPECT_EQ(gate_.used_bytes(), 100);
}

TEST_F(MemoryGateTest, AHoldMayGrowOverTheLimitAndWaitersWaitForIt) {
  Take(50, 0);
  holds_.front().Resize(120);
  EXPECT_EQ(gate_.used_bytes(), 120);
  Take(10, 1);
  holds_.front().Resize(95);
  EXPECT_THAT(granted_, IsEmpty());
  holds_.front().Resize(90);
  EXPECT_THAT(granted_, ElementsAre(1));
}

TEST_F(MemoryGateTest, AHoldOutlivesItsGate) {
  MemoryGate::Hold hold;
  {
    MemoryGate gate(10);
    hold = *gate.TryTake(5);
  }
  hold.Release();
}

TEST_F(MemoryGateTest, ManyThreadsNeverTakeMoreThanTheLimitAndAllGetTheirTurn) {
  MemoryGate gate(10);
  std::atomic<int> served{0};
  std::atomic<int64_t> out{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) {
        const auto use = [&](MemoryGate::Hold hold) {
          EXPECT_LE(out.fetch_add(hold.bytes()) + hold.bytes(), 10);
          ++served;
          out.fetch_sub(hold.bytes());
        };
        MemoryGate::Hold hold;
        MemoryGate::WaitId wait = 0;
        ASSERT_TRUE(gate.TakeOrWait(1 + t * 3, hold, wait, use));
        if (wait == 0) use(std::move(hold));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(served, 2000);
  EXPECT_EQ(gate.used_bytes(), 0);
}

}  // namespace
}  // namespace naru::services
