#include "services/produce/read_credits.h"

#include <atomic>
#include <memory>

#include "gtest/gtest.h"
#include "tests/services/hub.h"

namespace naru::services {
namespace {

using std::chrono::milliseconds;
using Ticket = ReadCredits::Ticket;

constexpr milliseconds kNever = std::chrono::hours(1);

class ReadCreditsTest : public ::testing::Test {
 protected:
  ~ReadCreditsTest() override { executor_.Stop(); }

  std::shared_ptr<ReadCredits> Make(milliseconds idle) {
    return std::make_shared<ReadCredits>(100, idle, executor_);
  }
  bool Ask(ReadCredits& credits, int64_t bytes, Ticket& ticket) {
    return credits.Ask(bytes, ticket, [this] { ++granted_; });
  }

  Executor executor_{2};
  std::atomic<int> granted_{0};
};

TEST_F(ReadCreditsTest, AReadWaitsUntilOthersHaveReadAndLetGo) {
  const auto credits = Make(kNever);
  Ticket first = 0, second = 0;
  ASSERT_TRUE(Ask(*credits, 60, first));
  ASSERT_FALSE(Ask(*credits, 60, second));
  EXPECT_EQ(credits->waits(), 1);
  MemoryGate::Hold hold = credits->Use(first, 70);
  EXPECT_EQ(credits->used_bytes(), 70) << "the message turned out larger";
  EXPECT_EQ(granted_, 0);
  hold.Release();
  EXPECT_TRUE(WaitFor([&] { return granted_ == 1; }));
  EXPECT_EQ(credits->Use(second, 10).bytes(), 10);
  EXPECT_EQ(credits->used_bytes(), 0);
}

TEST_F(ReadCreditsTest, AStreamThatGivesUpIsNotWaitedForAndNotCalled) {
  const auto credits = Make(kNever);
  Ticket first = 0, second = 0, third = 0;
  ASSERT_TRUE(Ask(*credits, 60, first));
  ASSERT_FALSE(credits->Ask(100, second, [] { ADD_FAILURE() << "it gave up"; }));
  ASSERT_FALSE(Ask(*credits, 40, third));
  credits->GiveUp(second);
  EXPECT_TRUE(WaitFor([&] { return granted_ == 1; }));
  credits->GiveUp(first);
  credits->GiveUp(third);
  credits->GiveUp(0);
  EXPECT_EQ(credits->used_bytes(), 0);
}

TEST_F(ReadCreditsTest, ACreditForWhichNothingCameIsRecalledWhileOthersWait) {
  const auto credits = Make(milliseconds(1));
  Ticket idle = 0, next = 0;
  ASSERT_TRUE(Ask(*credits, 100, idle));
  ASSERT_FALSE(Ask(*credits, 100, next));
  EXPECT_TRUE(WaitFor([&] { return granted_ == 1; }));
  const MemoryGate::Hold late = credits->Use(idle, 50);
  EXPECT_EQ(late.bytes(), 50);
  EXPECT_GE(credits->used_bytes(), 50) << "it is counted when it comes";
}

TEST_F(ReadCreditsTest, ManyIdleStreamsAreGoneThroughFasterAndFaster) {
  const auto credits = Make(milliseconds(40));
  constexpr int kStreams = 1'000;  // one at a time: 40 s, were each given all of its time
  Ticket first = 0;
  ASSERT_TRUE(Ask(*credits, 100, first));
  for (int i = 0; i < kStreams; ++i) {
    Ticket ticket = 0;
    ASSERT_FALSE(Ask(*credits, 100, ticket));
  }
  EXPECT_TRUE(WaitFor([&] { return granted_ == kStreams; })) << granted_;
}

TEST_F(ReadCreditsTest, ACreditIsKeptWhileNobodyWaits) {
  const auto credits = Make(milliseconds(1));
  Ticket idle = 0, other = 0;
  ASSERT_TRUE(Ask(*credits, 60, idle));
  ASSERT_TRUE(Ask(*credits, 40, other));
  EXPECT_EQ(credits->used_bytes(), 100);
}

TEST_F(ReadCreditsTest, NothingIsRecalledWhileMessagesWaitForMemory) {
  const auto credits = Make(milliseconds(1));
  Ticket read = 0, idle = 0, next = 0;
  ASSERT_TRUE(Ask(*credits, 10, read));
  MemoryGate::Hold message = credits->Use(read, 10);
  ASSERT_TRUE(Ask(*credits, 90, idle));
  ASSERT_FALSE(Ask(*credits, 50, next));
  std::atomic<bool> later{false};
  executor_.RunAfter(milliseconds(50), [&] { later = true; });
  ASSERT_TRUE(WaitFor([&] { return later.load(); }));
  EXPECT_EQ(granted_, 0);
  message.Release();
  EXPECT_TRUE(WaitFor([&] { return granted_ == 1; }));
}

}  // namespace
}  // namespace naru::services
