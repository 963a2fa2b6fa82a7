// The partition store under power cuts: at every write and every sync of a script, and anywhere in random
// workloads. Whatever the disk makes of what was not synced, every log comes back as a prefix of what was
// asked of it, with everything that was promised. NARU_CRASH_SEEDS=n runs n random seeds (and all cuts in all
// ways); a failure prints its seed, and NARU_CRASH_FIRST_SEED=s begins there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "storage/base/status.h"
#include "tests/storage/faults/crash_rig.h"
#include "tests/storage/faults/workload.h"

namespace naru::testing {
namespace {

constexpr Survival::Mode kModes[] = {Survival::Mode::kNothing, Survival::Mode::kEverything,
                                     Survival::Mode::kPrefix, Survival::Mode::kAnyPart};

int64_t FromEnvironment(const char* name, int64_t otherwise) {
  const char* text = std::getenv(name);
  int64_t value = 0;
  return text != nullptr && absl::SimpleAtoi(text, &value) ? value : otherwise;
}

bool Long() { return std::getenv("NARU_CRASH_SEEDS") != nullptr; }

// Opens what a crash left, perhaps with another crash on the way, and checks it.
void OpenAndCheck(CrashRig& rig) {
  const absl::Status opened = rig.Open();
  ASSERT_TRUE(opened.ok()) << opened << "\n" << rig.Describe();
  ASSERT_EQ(rig.Check(), "") << rig.Describe();
}

// Short, and everything that a store does is in it: segments roll, logs come and go, space is given back.
void RunScript(CrashRig& rig) {
  constexpr LogId kFsync(1), kBackground(2), kDoomed(3);
  if (!rig.Open().ok()) return;
  const auto append = [&](LogId log, size_t bytes, std::string value) {
    if (rig.dead()) return;
    rig.Append(log, MakeLargeBatch(std::move(value), bytes));
  };
  rig.Create(kFsync);
  if (!rig.dead()) rig.Create(kBackground, {.durability = Durability::kBackground});
  if (!rig.dead()) rig.Create(kDoomed);
  if (rig.dead() || rig.Live().size() < 3) return;
  for (int i = 0; i < 3; ++i) append(kFsync, 100, absl::StrCat("pipelined ", i));
  rig.Wait();
  for (int i = 0; i < 4; ++i) {
    append(kBackground, 2'000, absl::StrCat("background ", i));
    append(kDoomed, 150'000, absl::StrCat("doomed ", i));
    append(kFsync, 150'000, absl::StrCat("large ", i));
  }
  rig.Wait();
  if (!rig.dead()) rig.BeginEpoch(kFsync, LeaderEpoch(1));
  append(kFsync, 500, "in epoch 1");
  if (!rig.dead()) rig.Append(kFsync, MakeBatchOf(3), ProducerStamp{7, 0, 0});
  rig.Wait();
  if (!rig.dead()) rig.Truncate(kFsync, Offset(8));
  append(kFsync, 300, "where the truncation left room");
  rig.Wait();
  if (!rig.dead()) rig.MoveStart(kFsync, Offset(5));
  rig.Wait();
  if (!rig.dead()) rig.Delete(kDoomed);
  append(kBackground, 400'000, "goes on");
  rig.Wait();
  if (!rig.dead()) (void)rig.store().Checkpoint();
  append(kFsync, 700'000, "into the next segment");
  rig.Wait();
  if (!rig.dead()) (void)rig.store().RunMaintenance();
  append(kFsync, 100, "last");
  rig.Wait();
}

int64_t OperationsOfTheScript() {
  CrashRig rig;
  RunScript(rig);
  EXPECT_FALSE(rig.dead());
  EXPECT_EQ(rig.Check(), "") << "without any crash";
  rig.Close();
  return rig.files().operations();
}

TEST(StoreCrash, APowerCutAtEveryOperationOfAScriptLosesNothingPromised) {
  const int64_t operations = OperationsOfTheScript();
  ASSERT_GT(operations, 40);
  // Threads make the numbers vary a little from run to run.
  for (int64_t cut = 1; cut <= operations + 3; ++cut) {
    for (size_t way = 0; way < std::size(kModes); ++way) {
      if (!Long() && way != static_cast<size_t>(cut) % std::size(kModes)) continue;
      const Survival survival{kModes[way], static_cast<uint32_t>(cut)};
      const auto fate = static_cast<IndexFate>((cut / 4) % 3);
      CrashRig rig;
      rig.files().CutPowerAt(cut);
      RunScript(rig);
      const auto last = rig.files().last_operation();
      SCOPED_TRACE(absl::StrCat("cut at ", last ? ToString(*last) : "the end", "; ", ToString(survival),
                                "; index ", static_cast<int>(fate)));
      rig.Crash(survival, fate);
      OpenAndCheck(rig);
      if (HasFatalFailure()) return;
      // It goes on, and what it takes now survives the next crash.
      Workload workload(rig, static_cast<uint32_t>(cut));
      workload.Run(12);
      ASSERT_FALSE(rig.dead());
      rig.Crash(workload.PickSurvival(), workload.PickFate());
      OpenAndCheck(rig);
      if (HasFatalFailure()) return;
      rig.Close();
    }
  }
}

// Crashes while recovering from crashes.
void OpenThroughCrashes(CrashRig& rig, Workload& workload) {
  for (int i = 0; i < 3 && workload.Pick(3) == 0; ++i) {
    rig.files().CutPowerAt(rig.files().operations() + 1 + workload.Pick(6));
    const absl::Status opened = rig.Open();
    if (opened.ok()) {
      // The power may go while it is looked at: a mark is written, or space given back.
      const std::string problem = rig.Check();
      ASSERT_TRUE(problem.empty() || rig.files().power_is_off()) << problem;
    } else {
      ASSERT_TRUE(rig.files().power_is_off()) << opened;
    }
    rig.Crash(workload.PickSurvival(), workload.PickFate());
  }
  OpenAndCheck(rig);
}

void RunSeed(uint32_t seed) {
  StoreOptions options = CrashRig::SmallOptions();
  if (seed % 2 == 1) options.maintenance_interval_ms = 10;
  CrashRig rig(options);
  Workload workload(rig, seed);
  ASSERT_TRUE(rig.Open().ok());
  for (int round = 0; round < 5; ++round) {
    SCOPED_TRACE(absl::StrCat("round ", round));
    // Somewhere in the round, or when it is over.
    rig.files().CutPowerAt(rig.files().operations() + 1 + workload.Pick(60));
    workload.Run(20 + static_cast<int>(workload.Pick(60)));
    if (workload.Pick(10) == 0 && !rig.dead()) {
      rig.Close();
      rig.files().CutPower();
    }
    const auto last = rig.files().last_operation();
    const Survival survival = workload.PickSurvival();
    const IndexFate fate = workload.PickFate();
    const bool killed = workload.Pick(3) == 0;
    SCOPED_TRACE(absl::StrCat(killed ? "killed at " : "cut at ", ToString(*last), "; ", ToString(survival),
                              "; index ", static_cast<int>(fate)));
    if (killed) {
      rig.Kill(fate);
    } else {
      rig.Crash(survival, fate);
    }
    rig.clock().AdvanceMs(1'000);
    OpenThroughCrashes(rig, workload);
    if (::testing::Test::HasFatalFailure()) return;
  }
  rig.Close();
}

TEST(StoreCrash, RandomWorkloadsSurviveCrashAfterCrash) {
  const int64_t first = FromEnvironment("NARU_CRASH_FIRST_SEED", 1);
  const int64_t seeds = FromEnvironment("NARU_CRASH_SEEDS", 12);
  for (int64_t seed = first; seed < first + seeds; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    RunSeed(static_cast<uint32_t>(seed));
    if (HasFatalFailure()) return;
  }
}

TEST(StoreCrash, WhatAStartFindsAfterAKillIsDurableBeforeItIsServed) {
  for (uint32_t way = 0; way < 6; ++way) {
    CrashRig rig;
    ASSERT_TRUE(rig.Open().ok());
    rig.Create(LogId(1));
    rig.Append(LogId(1), MakeLargeBatch("acked", 1'000));
    rig.Wait();
    // Written, and the process dies in the sync.
    rig.files().CutPowerAt(rig.files().operations() + 2);
    rig.Append(LogId(1), MakeLargeBatch("written", 1'000));
    rig.Wait();
    ASSERT_TRUE(rig.dead());
    rig.Kill(way % 2 == 0 ? IndexFate::kKept : IndexFate::kLost);
    OpenAndCheck(rig);
    if (HasFatalFailure()) return;
    EXPECT_EQ(rig.store().Info(LogId(1))->durable_end, Offset(2)) << "the system still had it";
    if (way >= 2) {
      rig.Append(LogId(1), MakeLargeBatch("behind it", 1'000));
      rig.Wait();
    }
    rig.Crash({Survival::Mode::kNothing, way}, way >= 4 ? IndexFate::kLost : IndexFate::kKept);
    OpenAndCheck(rig);
    if (HasFatalFailure()) return;
    rig.Close();
  }
}

TEST(StoreCrash, AnErrorAtAnyOperationLosesNothingPromised) {
  const int64_t operations = OperationsOfTheScript();
  const int64_t step = Long() ? 1 : 3;
  for (int64_t failing = 1; failing <= operations; failing += step) {
    CrashRig rig;
    rig.files().FailAt(failing);
    RunScript(rig);
    const auto last = rig.files().last_operation();
    SCOPED_TRACE(absl::StrCat("EIO at operation ", failing, "; ended at ", ToString(*last)));
    rig.Crash({Survival::Mode::kPrefix, static_cast<uint32_t>(failing)}, IndexFate::kKept);
    OpenAndCheck(rig);
    if (HasFatalFailure()) return;
    rig.Close();
  }
}

TEST(StoreCrash, AFailedSyncEndsTheStoreInsteadOfBeingTriedAgain) {
  CrashRig rig;
  ASSERT_TRUE(rig.Open().ok());
  rig.Create(LogId(1));
  std::atomic<int64_t> syncs_after = 0;
  std::atomic<bool> failed = false;
  rig.files().SetHook([&](const DiskOperation& operation) {
    if (failed && operation.kind == DiskOperation::Kind::kSync) ++syncs_after;
  });
  // The write of an append, then its sync.
  rig.files().FailAt(rig.files().operations() + 2);
  failed = true;
  rig.Append(LogId(1), MakeBatchOf(1));
  rig.Wait();
  EXPECT_TRUE(rig.dead());
  rig.Append(LogId(1), MakeBatchOf(1));
  rig.Wait();
  EXPECT_EQ(syncs_after, 0);
  rig.Crash({Survival::Mode::kNothing, 1}, IndexFate::kKept);
  OpenAndCheck(rig);
}

TEST(StoreCrash, AFullDiskRefusesAppendsAndRecoversWhenThereIsSpaceAgain) {
  CrashRig rig;
  ASSERT_TRUE(rig.Open().ok());
  rig.Create(LogId(1));
  rig.files().SetCapacity(uint64_t{5} << 20);
  for (int i = 0; i < 30 && !rig.dead(); ++i) {
    rig.Append(LogId(1), MakeLargeBatch(std::to_string(i), 300'000));
    rig.Wait();
  }
  ASSERT_FALSE(rig.dead()) << "a full disk is an answer, not an end";
  EXPECT_GT(rig.store().Stats().storage_full_refusals, 0);
  const Offset end = rig.store().Info(LogId(1))->end;
  EXPECT_GT(end, Offset(5));
  EXPECT_EQ(PortraitOf(rig.store(), LogId(1)).substr(0, 5), "start") << "reads go on";
  ASSERT_EQ(rig.Check(), "");
  rig.files().SetCapacity(uint64_t{50} << 20);
  (void)rig.store().RunMaintenance();
  rig.Append(LogId(1), MakeLargeBatch("there is space again", 300'000));
  rig.Wait();
  EXPECT_EQ(rig.store().Info(LogId(1))->end, end + 1);
  rig.Crash({Survival::Mode::kNothing, 1}, IndexFate::kKept);
  OpenAndCheck(rig);
}

TEST(StoreCrash, TheReserveKeepsSpaceForGivingSpaceBack) {
  StoreOptions options = CrashRig::SmallOptions();
  options.disk_reserve_bytes = int64_t{4} << 20;
  CrashRig rig(options);
  rig.files().SetCapacity(uint64_t{12} << 20);
  ASSERT_TRUE(rig.Open().ok());
  rig.Create(LogId(1));
  for (int i = 0; i < 60; ++i) {
    rig.Append(LogId(1), MakeLargeBatch(std::to_string(i), 300'000));
    rig.Wait();
    (void)rig.store().RunMaintenance();
  }
  EXPECT_TRUE(rig.store().Stats().storage_full);
  EXPECT_GE(rig.files().Space(rig.options().directory)->available_bytes, uint64_t{1} << 20);
  ASSERT_EQ(rig.Check(), "");
  // Everything is given up: there is room again.
  rig.MoveStart(LogId(1), rig.store().Info(LogId(1))->end);
  rig.Wait();
  for (int i = 0; i < 4; ++i) (void)rig.store().RunMaintenance();
  EXPECT_FALSE(rig.store().Stats().storage_full);
  const Offset end = rig.store().Info(LogId(1))->end;
  rig.Append(LogId(1), MakeLargeBatch("again", 300'000));
  rig.Wait();
  EXPECT_EQ(rig.store().Info(LogId(1))->end, end + 1);
  ASSERT_EQ(rig.Check(), "");
  rig.Close();
}

TEST(StoreCrash, TwoStoresDoNotShareADirectory) {
  CrashRig rig;
  ASSERT_TRUE(rig.Open().ok());
  NullEventLog events;
  const auto second = PartitionStore::Open(rig.options(), rig.files(), rig.clock(), events);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition) << second.status();
  rig.Close();
}

}  // namespace
}  // namespace naru::testing
