// What only the store in memory has: durability on demand, crashes, full disks, damage.
#include "storage/log/memory_log_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/base/status.h"
#include "tests/storage/log/record_batches.h"

namespace naru {
namespace {

using testing::AppendOf;
using testing::MakeBatch;
using testing::MakeBatchOf;

constexpr LogId kLog = LogId(1);
constexpr LogId kOther = LogId(2);

class MemoryLogStoreTest : public ::testing::Test {
 protected:
  MemoryLogStoreTest() {
    store_.CreateLogs({kLog, kOther}, [](absl::Status status) { ASSERT_TRUE(status.ok()); });
  }
  // What became of an append: nothing yet, or its status.
  using Outcome = std::shared_ptr<std::optional<absl::Status>>;
  Outcome Append(LogId log, int count = 1) {
    auto outcome = std::make_shared<std::optional<absl::Status>>();
    store_.Append(AppendOf(log, MakeBatchOf(count)),
                  [outcome](absl::StatusOr<Appended> appended) { *outcome = appended.status(); });
    return outcome;
  }
  static bool Ok(const Outcome& outcome) { return outcome->has_value() && (*outcome)->ok(); }
  LogInfo Info(LogId log) { return *store_.Info(log); }

  ManualClock clock_;
  MemoryLogStore store_{clock_, {.pending_bytes_max = 1'000}};
};

TEST_F(MemoryLogStoreTest, CompletesInTheCallUnlessDurabilityIsHeld) {
  EXPECT_TRUE(Ok(Append(kLog)));
  store_.HoldDurability(true);
  const Outcome held = Append(kLog);
  EXPECT_FALSE(held->has_value());
  EXPECT_EQ(store_.waiting_changes(), 1u);
  EXPECT_EQ(Info(kLog).end, Offset(2));
  EXPECT_EQ(Info(kLog).durable_end, Offset(1));
  EXPECT_EQ(store_.MakeDurable(), 1u);
  EXPECT_TRUE(Ok(held));
  EXPECT_EQ(Info(kLog).durable_end, Offset(2));
}

TEST_F(MemoryLogStoreTest, ChangesBecomeDurableInTheirOrderOverAllLogs) {
  store_.HoldDurability(true);
  const Outcome first = Append(kLog);
  const Outcome second = Append(kOther);
  const Outcome third = Append(kLog);
  EXPECT_EQ(store_.MakeDurable(2), 2u);
  EXPECT_TRUE(Ok(first));
  EXPECT_TRUE(Ok(second));
  EXPECT_FALSE(third->has_value());
  EXPECT_EQ(Info(kLog).readable_end, Offset(1));
  EXPECT_EQ(Info(kOther).readable_end, Offset(1));
  store_.HoldDurability(false);
  EXPECT_TRUE(Ok(third));
}

TEST_F(MemoryLogStoreTest, ARestartLosesWhatWasNotDurableAndNeverCompletesIt) {
  Append(kLog, 2);
  store_.HoldDurability(true);
  const Outcome durable = Append(kLog, 3);
  store_.MakeDurable();
  const Outcome lost = Append(kLog, 4);
  ASSERT_TRUE(store_.Configure(kOther, {.durability = Durability::kBackground}).ok());
  const Outcome background = Append(kOther);
  EXPECT_TRUE(Ok(background));
  int fired = 0;
  store_.Watch(kLog, Offset(5), [&] { ++fired; });
  store_.Restart();
  EXPECT_TRUE(Ok(durable));
  EXPECT_FALSE(lost->has_value());
  EXPECT_EQ(Info(kLog).end, Offset(5));
  EXPECT_EQ(Info(kOther).end, Offset(0)) << "a background log loses its last moment";
  EXPECT_EQ(store_.MakeDurable(), 0u);
  EXPECT_FALSE(lost->has_value());
  Append(kLog);
  store_.MakeDurable();
  EXPECT_EQ(fired, 0) << "watches died with the process";
  EXPECT_EQ(Info(kLog).durable_end, Offset(6));
}

TEST_F(MemoryLogStoreTest, OfATornAppendTheFirstBatchesAreThere) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Ok(Append(kOther)));
  ReplicaAppendRequest three{.log = kLog};
  store_.Read({.log = kOther, .bytes_max = 1'000}, [&](absl::StatusOr<ReadResult> read) {
    ASSERT_TRUE(read.ok());
    three.batches = std::move(read->batches);
  });
  ASSERT_EQ(three.batches.size(), 3u);
  store_.HoldDurability(true);
  const auto append = [&] { store_.AppendAsReplica(three, [](const absl::StatusOr<Appended>&) { FAIL(); }); };
  append();
  EXPECT_EQ(store_.Restart(1), 1u);
  EXPECT_EQ(Info(kLog).end, Offset(1));
  EXPECT_EQ(Info(kLog).durable_end, Offset(1));
  EXPECT_EQ(store_.Restart(1), 0u) << "nothing was being written";
  EXPECT_EQ(Info(kLog).end, Offset(1));

  store_.Truncate(kLog, Offset(0), [](const absl::Status&) {});
  store_.MakeDurable();
  append();
  EXPECT_EQ(store_.Restart(9), 2u) << "else it was not torn";
  EXPECT_EQ(Info(kLog).end, Offset(2));
  const Outcome single = Append(kLog);
  EXPECT_EQ(store_.Restart(9), 0u);
  EXPECT_FALSE(single->has_value());
  EXPECT_EQ(Info(kLog).end, Offset(2));
}

TEST_F(MemoryLogStoreTest, ATruncationThatIsNotDurableIsUndoneByARestart) {
  Append(kLog, 2);
  Append(kLog, 2);
  store_.HoldDurability(true);
  bool truncated = false;
  store_.Truncate(kLog, Offset(2), [&](absl::Status) { truncated = true; });
  Append(kLog, 5);
  EXPECT_EQ(Info(kLog).end, Offset(7));
  EXPECT_EQ(Info(kLog).durable_end, Offset(2));
  EXPECT_FALSE(truncated);
  store_.Restart();
  EXPECT_EQ(Info(kLog).end, Offset(4));
}

TEST_F(MemoryLogStoreTest, WhatWasTruncatedBeforeItWasDurableDoesNotRaiseTheDurableEnd) {
  store_.HoldDurability(true);
  Append(kLog, 5);
  store_.Truncate(kLog, Offset(0), [](absl::Status) {});
  Append(kLog, 2);
  store_.MakeDurable(1);
  EXPECT_EQ(Info(kLog).durable_end, Offset(0));
  store_.MakeDurable();
  EXPECT_EQ(Info(kLog).durable_end, Offset(2));
}

TEST_F(MemoryLogStoreTest, RefusesAppendsWhileTheDiskIsFull) {
  store_.SetStorageFull(true);
  EXPECT_EQ(ReasonOf(**Append(kLog)), Reason::kStorageFull);
  bool moved = false;
  store_.MoveLogStart(kLog, Offset(0), [&](absl::Status status) { moved = status.ok(); });
  EXPECT_TRUE(moved) << "giving space back goes on";
  store_.SetStorageFull(false);
  EXPECT_TRUE(Ok(Append(kLog)));
}

TEST_F(MemoryLogStoreTest, BoundsWhatWaitsToBeDurable) {
  store_.HoldDurability(true);
  int taken = 0;
  Outcome last;
  do {
    last = Append(kLog, 20);
    ++taken;
  } while (!last->has_value() && taken < 100);
  ASSERT_TRUE(last->has_value());
  EXPECT_EQ(ReasonOf(**last), Reason::kTooManyInFlight);
  store_.MakeDurable(1);
  EXPECT_FALSE(Append(kLog, 20)->has_value());
}

TEST_F(MemoryLogStoreTest, ADamagedBatchIsNotServed) {
  Append(kLog, 3);
  Append(kLog, 3);
  EXPECT_FALSE(store_.Damage(kLog, Offset(6)));
  ASSERT_TRUE(store_.Damage(kLog, Offset(4)));
  absl::StatusOr<ReadResult> read;
  ReadRequest request{.log = kLog, .from = Offset(0)};
  store_.Read(request, [&](absl::StatusOr<ReadResult> result) { read = std::move(result); });
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->batches.size(), 1u) << "what is whole before it is";
  EXPECT_EQ(read->next_offset, Offset(3));
  request.from = Offset(3);
  store_.Read(request, [&](absl::StatusOr<ReadResult> result) { read = std::move(result); });
  EXPECT_EQ(ReasonOf(read.status()), Reason::kCorruptData);
}

TEST_F(MemoryLogStoreTest, CompletionsMayCallTheStoreAgain) {
  std::vector<int64_t> offsets;
  std::function<void()> append = [&] {
    store_.Append(AppendOf(kLog, MakeBatchOf(1)), [&](absl::StatusOr<Appended> appended) {
      offsets.push_back(appended->base_offset.value());
      if (offsets.size() < 4) append();
    });
  };
  append();
  EXPECT_THAT(offsets, ::testing::ElementsAre(0, 1, 2, 3));
}

}  // namespace
}  // namespace naru
