#include "cluster/loop/event_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <thread>

namespace naru::cluster {
namespace {

using ::testing::ElementsAre;

class EventLoopTest : public ::testing::Test {
 protected:
  // Runs until the loop quits.
  void Run() {
    loop_.Start();
    loop_.Join();
  }

  SystemClock clock_;
  EventLoop loop_{clock_};
  std::vector<int> ran_;
};

TEST_F(EventLoopTest, TasksRunInTheOrderTheyWerePosted) {
  for (int i = 0; i < 5; ++i) loop_.Post([this, i] { ran_.push_back(i); });
  loop_.Post([this] { loop_.Quit(); });
  Run();
  EXPECT_THAT(ran_, ElementsAre(0, 1, 2, 3, 4));
}

TEST_F(EventLoopTest, TimersRunByTheirTimesAndThoseOfOneTimeInOrder) {
  loop_.After(20, [this] { loop_.Quit(); });
  loop_.After(10, [this] { ran_.push_back(3); });
  loop_.After(0, [this] { ran_.push_back(1); });
  loop_.After(1, [this] { ran_.push_back(2); });
  Run();
  EXPECT_THAT(ran_, ElementsAre(1, 2, 3));
}

TEST_F(EventLoopTest, ACancelledTimerDoesNotRun) {
  const EventLoop::TimerId timer = loop_.After(1, [this] { ran_.push_back(1); });
  loop_.After(2, [this] { loop_.Quit(); });
  loop_.Cancel(timer);
  loop_.Cancel(timer);
  loop_.Cancel({});
  Run();
  EXPECT_TRUE(ran_.empty());
}

TEST_F(EventLoopTest, ATimerMayCancelAnotherThatIsDue) {
  EventLoop::TimerId second;
  loop_.After(0, [this, &second] { loop_.Cancel(second); });
  second = loop_.After(0, [this] { ran_.push_back(2); });
  loop_.After(1, [this] { loop_.Quit(); });
  Run();
  EXPECT_TRUE(ran_.empty());
}

TEST_F(EventLoopTest, WhatDidNotRunBeforeTheEndIsDestroyedUnrun) {
  auto held = std::make_shared<int>(1);
  loop_.Post([this] { loop_.Quit(); });
  loop_.Post([this, held] { ran_.push_back(*held); });
  loop_.After(60'000, [this, held] { ran_.push_back(*held); });
  Run();
  EXPECT_EQ(held.use_count(), 1);
  loop_.Post([this, held] { ran_.push_back(*held); });
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_TRUE(ran_.empty());
}

TEST_F(EventLoopTest, TasksOfManyThreadsAllRun) {
  constexpr int kThreads = 4;
  constexpr int kEach = 500;
  loop_.Start();
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this] {
      for (int i = 0; i < kEach; ++i) {
        loop_.Post([this] {
          ran_.push_back(0);
          if (ran_.size() == kThreads * kEach) loop_.Quit();
        });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  loop_.Join();
  EXPECT_EQ(ran_.size(), static_cast<size_t>(kThreads * kEach));
}

}  // namespace
}  // namespace naru::cluster
