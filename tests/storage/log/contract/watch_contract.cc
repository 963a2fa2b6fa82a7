// Watches: who waits for a log, and how the waiting is called off.
#include <array>
#include <atomic>
#include <thread>

#include "tests/storage/log/contract/store_contract.h"

namespace naru::testing {
namespace {

// Counts its calls.
struct Fired {
  std::shared_ptr<std::atomic<int>> count = std::make_shared<std::atomic<int>>(0);
  std::shared_ptr<absl::Notification> first = std::make_shared<absl::Notification>();
  absl::AnyInvocable<void()> Fire() const {
    return [count = count, first = first] {
      if (count->fetch_add(1) == 0) first->Notify();
    };
  }
  bool WaitForIt() const { return first->WaitForNotificationWithTimeout(absl::Seconds(60)); }
};

TEST_P(StoreContract, AWatchFiresWhenTheReadableEndPassesItsOffset) {
  AppendOk(kLog, 3);
  Fired fired;
  store().Watch(kLog, Offset(3), fired.Fire());
  AppendOk(kOther, 10);
  EXPECT_EQ(*fired.count, 0);
  AppendOk(kLog, 1);
  EXPECT_TRUE(fired.WaitForIt());
  AppendOk(kLog, 1);
  EXPECT_EQ(*fired.count, 1) << "once";
}

TEST_P(StoreContract, AWatchOfAnOffsetThatIsReadableFiresAtOnce) {
  AppendOk(kLog, 3);
  Fired fired;
  store().Watch(kLog, Offset(2), fired.Fire());
  EXPECT_TRUE(fired.WaitForIt());
}

TEST_P(StoreContract, AWatchAboveTheEndWaitsUntilItsOffsetIsPassed) {
  Fired fired;
  store().Watch(kLog, Offset(5), fired.Fire());
  AppendOk(kLog, 3);
  AppendOk(kLog, 2);
  // The watch of a lower offset, added later, fires with the same append: so this one had its chance.
  Fired lower;
  store().Watch(kLog, Offset(4), lower.Fire());
  ASSERT_TRUE(lower.WaitForIt());
  EXPECT_EQ(*fired.count, 0);
  AppendOk(kLog, 1);
  EXPECT_TRUE(fired.WaitForIt());
}

TEST_P(StoreContract, AWatchFiresWhenTheStartPassesItsOffset) {
  AppendOk(kLog, 5);
  Fired fired;
  const LogStore::WatchId watch = store().Watch(kLog, Offset(5), fired.Fire());
  ASSERT_THAT(MoveLogStart(kLog, 5), IsOk());
  EXPECT_TRUE(store().CancelWatch(watch)) << "the start is at the offset, not above";
  ASSERT_THAT(Truncate(kLog, 0), IsOk());
  AppendOk(kLog, 1);
  EXPECT_EQ(*fired.count, 0);
}

TEST_P(StoreContract, AWatchFiresWhenItsLogIsDeleted) {
  Fired fired;
  Fired far;
  store().Watch(kLog, Offset(0), fired.Fire());
  store().Watch(kLog, Offset(1'000'000), far.Fire());
  ASSERT_THAT(Delete({kLog}), IsOk());
  EXPECT_TRUE(fired.WaitForIt());
  EXPECT_TRUE(far.WaitForIt());
}

TEST_P(StoreContract, AWatchOfALogThatIsNotThereFiresAtOnce) {
  Fired fired;
  store().Watch(kUnknown, Offset(0), fired.Fire());
  EXPECT_TRUE(fired.WaitForIt());
}

TEST_P(StoreContract, ACancelledWatchDoesNotFire) {
  Fired fired;
  const LogStore::WatchId watch = store().Watch(kLog, Offset(0), fired.Fire());
  EXPECT_TRUE(store().CancelWatch(watch));
  EXPECT_FALSE(store().CancelWatch(watch));
  Fired other;
  store().Watch(kLog, Offset(0), other.Fire());
  AppendOk(kLog);
  ASSERT_TRUE(other.WaitForIt());
  EXPECT_EQ(*fired.count, 0);
}

TEST_P(StoreContract, AWatchThatFiredCannotBeCancelled) {
  Fired fired;
  const LogStore::WatchId watch = store().Watch(kLog, Offset(0), fired.Fire());
  AppendOk(kLog);
  ASSERT_TRUE(fired.WaitForIt());
  EXPECT_FALSE(store().CancelWatch(watch));
}

TEST_P(StoreContract, AWatchMayCancelItselfFromInsideWithoutHanging) {
  std::atomic<LogStore::WatchId> watch = 0;
  absl::Notification known;
  absl::Notification fired;
  bool cancelled = true;
  watch = store().Watch(kLog, Offset(0), [&] {
    known.WaitForNotification();
    cancelled = store().CancelWatch(watch);
    fired.Notify();
  });
  known.Notify();
  AppendOk(kLog);
  ASSERT_TRUE(fired.WaitForNotificationWithTimeout(absl::Seconds(60)));
  EXPECT_FALSE(cancelled);
}

TEST_P(StoreContract, CancellingWaitsForAWatchThatIsJustFiring) {
  absl::Notification firing;
  absl::Notification go_on;
  std::atomic<bool> over = false;
  const LogStore::WatchId watch = store().Watch(kLog, Offset(0), [&] {
    firing.Notify();
    go_on.WaitForNotification();
    over = true;
  });
  std::thread appender([&] { AppendOk(kLog); });
  ASSERT_TRUE(firing.WaitForNotificationWithTimeout(absl::Seconds(60)));
  std::atomic<bool> cancelling = false;
  std::thread canceller([&] {
    cancelling = true;
    EXPECT_FALSE(store().CancelWatch(watch));
    EXPECT_TRUE(over) << "cancelling came back while the watch was firing";
  });
  while (!cancelling) std::this_thread::yield();
  go_on.Notify();
  canceller.join();
  appender.join();
}

TEST_P(StoreContract, WhatAWatchCapturedIsGoneWhenItsCancelReturns) {
  // Three that are due together; the second to fire holds the third up. Which is which is the store's affair.
  std::atomic<int> fired = 0;
  std::array<std::atomic<int>, 3> turn = {};
  absl::Notification firing;
  absl::Notification go_on;
  std::array<LogStore::WatchId, 3> ids;
  std::array<std::weak_ptr<int>, 3> captured;
  for (size_t i = 0; i < ids.size(); ++i) {
    auto owned = std::make_shared<int>(1);
    captured[i] = owned;
    ids[i] = store().Watch(kLog, Offset(0), [&, i, owned = std::move(owned)] {
      turn[i] = ++fired;
      if (turn[i] != 2) return;
      firing.Notify();
      go_on.WaitForNotification();
    });
  }
  std::thread appender([&] { AppendOk(kLog); });
  EXPECT_TRUE(firing.WaitForNotificationWithTimeout(absl::Seconds(60)));
  for (size_t i = 0; i < ids.size(); ++i) {
    if (turn[i] == 2) continue;
    EXPECT_EQ(store().CancelWatch(ids[i]), turn[i] == 0);
    EXPECT_TRUE(captured[i].expired()) << "the one whose turn was " << turn[i];
  }
  go_on.Notify();
  for (size_t i = 0; i < ids.size(); ++i) {
    if (turn[i] != 2) continue;
    EXPECT_FALSE(store().CancelWatch(ids[i]));
    EXPECT_TRUE(captured[i].expired());
  }
  appender.join();
}

TEST_P(StoreContract, AFiringWatchMayWatchAgainAndRead) {
  std::atomic<int> rounds = 0;
  absl::Notification third;
  std::function<void()> watch_again = [&] {
    const Offset end = store().Info(kLog)->readable_end;
    store().Watch(kLog, end, [&] {
      if (++rounds == 3) {
        third.Notify();
      } else {
        watch_again();
      }
    });
  };
  watch_again();
  for (int i = 0; i < 3; ++i) AppendOk(kLog);
  // Two appends may have become readable before the watch was set again, but not without end.
  for (int i = 0; i < 1'000 && !third.HasBeenNotified(); ++i) AppendOk(kLog);
  EXPECT_TRUE(third.HasBeenNotified());
}

TEST_P(HeldSyncsContract, AFsyncLogWakesItsWatchesOnlyWhenDurable) {
  Fired fired;
  store().Watch(kLog, Offset(0), fired.Fire());
  under_test().HoldDurability(true);
  Awaited<absl::StatusOr<Appended>> append;
  store().Append(AppendOf(kLog, MakeBatchOf(1)), append.Done());
  ASSERT_THAT(store().Configure(kOther, {.durability = Durability::kBackground}), IsOk());
  Fired background;
  store().Watch(kOther, Offset(0), background.Fire());
  ASSERT_THAT(Append(kOther, {"x"}), IsOk());
  EXPECT_TRUE(background.WaitForIt()) << "a background log is readable when written";
  EXPECT_EQ(*fired.count, 0);
  under_test().HoldDurability(false);
  EXPECT_THAT(append.Wait(), IsOk());
  EXPECT_TRUE(fired.WaitForIt());
}

TEST_P(StoreContract, CancelsThatRaceWithAppendsAndDeletesFireOnceOrNever) {
  constexpr int kWatchers = 4;
  constexpr int kRounds = 150;
  std::vector<std::thread> watchers;
  std::atomic<bool> stop = false;
  for (int w = 0; w < kWatchers; ++w) {
    watchers.emplace_back([this, w] {
      for (int round = 0; round < kRounds; ++round) {
        const LogId log = round % 2 == 0 ? kLog : kOther;
        auto alive = std::make_unique<std::atomic<int>>(0);
        const absl::StatusOr<LogInfo> info = store().Info(log);
        ASSERT_TRUE(info.ok());
        const LogStore::WatchId watch =
            store().Watch(log, info->readable_end, [raw = alive.get()] { ++*raw; });
        for (int spin = 0; spin < (round * 7 + w) % 50; ++spin) std::this_thread::yield();
        const bool cancelled = store().CancelWatch(watch);
        EXPECT_EQ(*alive, cancelled ? 0 : 1);
        alive.reset();  // a late call would touch freed memory
      }
    });
  }
  std::thread appender([&] {
    while (!stop) {
      AppendOk(kLog);
      AppendOk(kOther);
    }
  });
  for (std::thread& watcher : watchers) watcher.join();
  stop = true;
  appender.join();
}

}  // namespace
}  // namespace naru::testing
