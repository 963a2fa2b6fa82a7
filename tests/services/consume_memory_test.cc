#include "services/consume/consume_memory.h"

#include <atomic>
#include <memory>
#include <vector>

#include "gmock/gmock.h"
#include "storage/base/units.h"
#include "tests/services/hub.h"

namespace naru::services {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

ConsumeOptions SmallOptions() {
  ConsumeOptions options;
  options.memory_bytes = 8 * kMiB;
  options.stalled_after_ms = 10'000;
  return options;
}

// Time stands still unless a test moves it, so nobody is cut off by itself.
class ConsumeMemoryTest : public ::testing::Test {
 protected:
  class Reader final : public ConsumeMemory::Reader {
   public:
    Reader(int name, std::vector<int>& cut) : name_(name), cut_(cut) {}
    void CutOff() override { cut_.push_back(name_); }

   private:
    const int name_;
    std::vector<int>& cut_;
  };

  // A message of `bytes` that lies unread in front of a reader of that name.
  void Send(int name, int64_t bytes) {
    readers_.push_back(std::make_shared<Reader>(name, cut_));
    std::optional<MemoryGate::Hold> hold = memory_->gate().TryTake(bytes);
    ASSERT_TRUE(hold);
    messages_.push_back(memory_->HandOver(*std::move(hold), readers_.back()));
  }
  void WaitFor(int64_t bytes) {
    MemoryGate::Hold hold;
    memory_->gate().TakeOrWait(bytes, hold, wait_, [this](MemoryGate::Hold) { granted_ = true; });
    EXPECT_NE(wait_, 0u);
  }
  void CutOffAfter(int64_t ms) {
    clock_.AdvanceMs(ms);
    memory_->CutOffStalled();
  }

  Executor executor_{1};
  ManualClock clock_;
  std::shared_ptr<ConsumeMemory> memory_ = ConsumeMemory::Make(SmallOptions(), executor_, clock_);
  std::vector<std::shared_ptr<Reader>> readers_;
  std::vector<std::shared_ptr<const void>> messages_;
  std::vector<int> cut_;
  MemoryGate::WaitId wait_ = 0;
  bool granted_ = false;
};

TEST_F(ConsumeMemoryTest, AMessageMayTakeAShareOfAQuarterOnceAQuarterIsTaken) {
  Send(1, 2 * kMiB);
  EXPECT_EQ(memory_->MessageBytesMax(4), INT64_MAX);
  Send(2, 1024);
  EXPECT_EQ(memory_->unread_messages(), 2);
  EXPECT_EQ(memory_->MessageBytesMax(4), kMiB / 2);
  EXPECT_EQ(memory_->MessageBytesMax(1000), SmallOptions().stream_first_message_bytes);
  messages_.clear();
  EXPECT_EQ(memory_->unread_messages(), 0);
  EXPECT_EQ(memory_->MessageBytesMax(4), INT64_MAX);
}

TEST_F(ConsumeMemoryTest, TheLongestUnreadAreCutOffUntilWhatIsWaitedForComesBack) {
  Send(1, 2 * kMiB);
  clock_.AdvanceMs(1000);
  Send(2, 2 * kMiB);
  clock_.AdvanceMs(1000);
  Send(3, 4 * kMiB);
  WaitFor(3 * kMiB);
  CutOffAfter(7999);
  EXPECT_THAT(cut_, IsEmpty());
  CutOffAfter(1);
  EXPECT_THAT(cut_, ElementsAre(1)) << "the others are not over their time";
  CutOffAfter(10'000);
  EXPECT_THAT(cut_, ElementsAre(1, 2, 3));
}

TEST_F(ConsumeMemoryTest, NoMoreAreCutOffThanIsWaitedFor) {
  for (int i = 1; i <= 8; ++i) Send(i, kMiB);
  WaitFor(2 * kMiB);
  CutOffAfter(20'000);
  EXPECT_THAT(cut_, ElementsAre(1, 2));
  messages_.erase(messages_.begin(), messages_.begin() + 2);
  EXPECT_TRUE(granted_);
  CutOffAfter(20'000);
  EXPECT_THAT(cut_, ElementsAre(1, 2)) << "nobody waits any more";
}

TEST_F(ConsumeMemoryTest, WhatWasReadAndWhoIsGoneArePassedOver) {
  for (int i = 1; i <= 4; ++i) Send(i, 2 * kMiB);
  messages_[0].reset();
  readers_[1].reset();
  Send(5, 2 * kMiB);
  WaitFor(kMiB);
  CutOffAfter(20'000);
  EXPECT_THAT(cut_, ElementsAre(3));
}

TEST(ConsumeMemoryTimerTest, AReaderIsCutOffByItselfOnceSomebodyWaits) {
  class Counter final : public ConsumeMemory::Reader {
   public:
    void CutOff() override { ++cut; }
    std::atomic<int> cut{0};
  };
  ConsumeOptions options = SmallOptions();
  options.stalled_after_ms = 100;
  Executor executor(1);
  SystemClock clock;
  const std::shared_ptr<ConsumeMemory> memory = ConsumeMemory::Make(options, executor, clock);
  const auto before = std::make_shared<Counter>();
  const auto after = std::make_shared<Counter>();
  const auto first = memory->HandOver(*memory->gate().TryTake(4 * kMiB), before);
  MemoryGate::Hold second = *memory->gate().TryTake(4 * kMiB);
  MemoryGate::Hold hold;
  MemoryGate::WaitId wait = 0;
  memory->gate().TakeOrWait(6 * kMiB, hold, wait, [](MemoryGate::Hold) {});
  EXPECT_TRUE(WaitFor([&] { return before->cut == 1; }));
  const auto late = memory->HandOver(std::move(second), after);
  EXPECT_TRUE(WaitFor([&] { return after->cut == 1; })) << "also one whose message came while somebody waits";
  memory->gate().CancelWait(wait);
  executor.Stop();
}

}  // namespace
}  // namespace naru::services
