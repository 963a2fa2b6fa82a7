#include "storage/base/memory_budget.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace naru {
namespace {

TEST(MemoryBudget, TakesUpToItsLimitAndCountsRefusals) {
  MemoryBudget budget(100);
  EXPECT_TRUE(budget.TryTake(60));
  EXPECT_TRUE(budget.TryTake(40));
  EXPECT_FALSE(budget.TryTake(1));
  EXPECT_EQ(budget.used_bytes(), 100);
  EXPECT_EQ(budget.refusals(), 1);
  budget.Give(40);
  EXPECT_TRUE(budget.TryTake(40));
  EXPECT_EQ(budget.limit_bytes(), 100);
}

TEST(MemoryBudget, WhatCannotBeRefusedIsTakenOverTheLimit) {
  MemoryBudget budget(10);
  budget.Take(50);
  EXPECT_EQ(budget.used_bytes(), 50);
  EXPECT_FALSE(budget.TryTake(1));
  budget.Give(50);
  EXPECT_TRUE(budget.TryTake(10));
}

TEST(MemoryBudget, AHoldGivesBackOnce) {
  MemoryBudget budget(100);
  {
    ASSERT_TRUE(budget.TryTake(30));
    MemoryHold hold(&budget, 30);
    MemoryHold moved = std::move(hold);
    EXPECT_EQ(moved.bytes(), 30);
    EXPECT_EQ(hold.bytes(), 0);  // NOLINT(bugprone-use-after-move): what it promises
    EXPECT_EQ(budget.used_bytes(), 30);
    ASSERT_TRUE(budget.TryTake(20));
    moved = MemoryHold(&budget, 20);
    EXPECT_EQ(budget.used_bytes(), 20) << "what was held before is given back";
    moved.Release();
    moved.Release();
    EXPECT_EQ(budget.used_bytes(), 0);
  }
  EXPECT_EQ(budget.used_bytes(), 0);
}

TEST(MemoryBudget, ThreadsTogetherStayWithinTheLimit) {
  MemoryBudget budget(1'000);
  std::atomic<int64_t> held = 0;
  std::atomic<bool> exceeded = false;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20'000; ++i) {
        const int64_t bytes = 1 + (i * 31 + t) % 400;
        if (!budget.TryTake(bytes)) continue;
        if (held.fetch_add(bytes) + bytes > 1'000) exceeded = true;
        held.fetch_sub(bytes);
        budget.Give(bytes);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(exceeded);
  EXPECT_EQ(budget.used_bytes(), 0);
}

}  // namespace
}  // namespace naru
