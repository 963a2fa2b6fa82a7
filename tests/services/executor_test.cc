#include "services/rpc/executor.h"

#include <atomic>
#include <memory>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/rpc/strand.h"

namespace naru::services {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using ::testing::ElementsAre;

TEST(ExecutorTest, TasksRunOnOtherThreads) {
  Executor executor(2);
  absl::Notification ran;
  std::thread::id id;
  executor.Run([&] {
    id = std::this_thread::get_id();
    ran.Notify();
  });
  ran.WaitForNotification();
  EXPECT_NE(id, std::this_thread::get_id());
}

TEST(ExecutorTest, TimersRunWhenDueAndInOrder) {
  Executor executor(1);
  absl::BlockingCounter left(2);
  std::vector<int> order;
  executor.RunAfter(milliseconds(30), [&] {
    order.push_back(2);
    left.DecrementCount();
  });
  executor.RunAfter(milliseconds(5), [&] {
    order.push_back(1);
    left.DecrementCount();
  });
  left.Wait();
  EXPECT_THAT(order, ElementsAre(1, 2));
}

TEST(ExecutorTest, ACancelledTimerNeverRunsAndItsTaskIsDestroyed) {
  Executor executor(1);
  const auto held = std::make_shared<int>(1);
  const Executor::TimerId timer = executor.RunAfter(hours(1), [held] { FAIL(); });
  EXPECT_EQ(held.use_count(), 2);
  EXPECT_TRUE(executor.Cancel(timer));
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_FALSE(executor.Cancel(timer));
  EXPECT_FALSE(executor.Cancel({}));
}

TEST(ExecutorTest, StopRunsWhatIsQueuedAndDropsTimersAndLaterTasks) {
  std::atomic<int> ran{0};
  Executor executor(1);
  for (int i = 0; i < 100; ++i) executor.Run([&] { ++ran; });
  executor.RunAfter(hours(1), [] { FAIL(); });
  executor.Stop();
  EXPECT_EQ(ran, 100);
  executor.Run([] { FAIL(); });
  executor.Stop();
}

TEST(StrandTest, TasksNeverOverlapAndKeepTheirOrder) {
  Executor executor(2);
  const auto strand = std::make_unique<Strand>(executor);
  std::atomic<bool> inside{false};
  std::vector<int> order;
  absl::BlockingCounter left(1000);
  for (int i = 0; i < 1000; ++i) {
    const auto task = [&, i] {
      EXPECT_FALSE(inside.exchange(true));
      order.push_back(i);
      inside = false;
      left.DecrementCount();
    };
    if (i % 3 == 0) {
      strand->Run(task);
    } else {
      strand->Post(task);
    }
  }
  left.Wait();
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(order[i], i);
}

TEST(StrandTest, ATaskFromWithinRunsAfterTheOneThatQueuedItOnTheSameThread) {
  Executor executor(1);
  Strand strand(executor);
  std::vector<int> order;
  strand.Run([&] {
    strand.Run([&] { order.push_back(2); });
    strand.Post([&] { order.push_back(3); });
    order.push_back(1);
  });
  EXPECT_THAT(order, ElementsAre(1, 2, 3));
}

TEST(StrandTest, ThePostOfAnIdleStrandDoesNotRunOnTheCallersThread) {
  Executor executor(1);
  Strand strand(executor);
  absl::Notification ran;
  std::thread::id id;
  strand.Post([&] {
    id = std::this_thread::get_id();
    ran.Notify();
  });
  ran.WaitForNotification();
  EXPECT_NE(id, std::this_thread::get_id());
}

TEST(StrandTest, TheLastTaskMayDestroyTheStrand) {
  Executor executor(1);
  auto strand = std::make_shared<Strand>(executor);
  Strand& reference = *strand;
  reference.Run([strand = std::move(strand)]() mutable { strand.reset(); });
}

}  // namespace
}  // namespace naru::services
