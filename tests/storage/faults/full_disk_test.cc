// A disk that is full to the last segment: what is given up comes back, whatever was written last.
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/storage/faults/crash_rig.h"
#include "tests/storage/faults/workload.h"

namespace naru::testing {
namespace {

constexpr LogId kFilled(1), kOther(2), kProducers(3);
// Three segments, and what making one leaves free.
constexpr uint64_t kSegments = uint64_t{3} << 20;
constexpr uint64_t kDiskBytes = kSegments + (uint64_t{64} << 10);

class FullDisk : public ::testing::Test {
 protected:
  void SetUp() override {
    rig_.files().SetCapacity(kDiskBytes);
    ASSERT_TRUE(rig_.Open().ok());
    rig_.Create(kFilled);
    rig_.Create(kOther);
  }
  int64_t Refusals() { return rig_.store().Stats().storage_full_refusals; }
  // Appends batches of this size until one is refused.
  void Fill(size_t bytes) {
    for (const int64_t before = Refusals(); Refusals() == before && !rig_.dead();) {
      rig_.Append(kFilled, MakeLargeBatch("filled", bytes));
      rig_.Wait();
    }
    ASSERT_FALSE(rig_.dead());
  }
  // To the last byte that batches get.
  void FillUp() {
    for (const size_t bytes : {200'000, 20'000, 2'000, 200, 0}) Fill(bytes);
  }
  // The disk has room again, and the store takes batches, also after a crash.
  void ExpectSpaceAgain() {
    for (int i = 0; i < 2; ++i) {
      const absl::Status maintained = rig_.store().RunMaintenance();
      EXPECT_TRUE(maintained.ok()) << maintained;
    }
    EXPECT_GT(rig_.store().Stats().segments_removed, 0);
    const int64_t before = Refusals();
    rig_.Append(kOther, MakeLargeBatch("there is room", 300'000));
    rig_.Wait();
    EXPECT_EQ(Refusals(), before);
    ASSERT_EQ(rig_.Check(), "");
    rig_.Crash({Survival::Mode::kNothing, 1}, IndexFate::kLost);
    const absl::Status opened = rig_.Open();
    ASSERT_TRUE(opened.ok()) << opened;
    ASSERT_EQ(rig_.Check(), "");
    rig_.Close();
  }

  CrashRig rig_;
};

TEST_F(FullDisk, ADeletedLogGivesItsSpaceBack) {
  FillUp();
  rig_.Delete(kFilled);
  rig_.Wait();
  ASSERT_EQ(rig_.store().Logs(), std::vector<LogId>{kOther});
  ExpectSpaceAgain();
}

TEST_F(FullDisk, AMovedStartGivesItsSpaceBack) {
  FillUp();
  const Offset end = rig_.store().Info(kFilled)->end;
  rig_.MoveStart(kFilled, end);
  rig_.Wait();
  ASSERT_EQ(rig_.store().Info(kFilled)->log_start, end);
  ExpectSpaceAgain();
}

TEST_F(FullDisk, ATruncatedLogGivesItsSpaceBack) {
  FillUp();
  rig_.Truncate(kFilled, Offset(0));
  rig_.Wait();
  ASSERT_EQ(rig_.store().Info(kFilled)->end, Offset(0));
  ExpectSpaceAgain();
}

TEST_F(FullDisk, BatchesAsLargeAsASegmentLeaveRoomToGiveThemUp) {
  Fill(static_cast<size_t>(rig_.options().BatchBytesMax()) - 64);
  ASSERT_GE(rig_.store().Info(kFilled)->end, Offset(2));
  rig_.Delete(kFilled);
  rig_.Wait();
  ASSERT_EQ(rig_.store().Logs(), std::vector<LogId>{kOther});
  ExpectSpaceAgain();
}

TEST_F(FullDisk, ManyProducersWhoseSnapshotIsLargeDoNotStandInTheWay) {
  rig_.Create(kProducers);
  for (int64_t id = 0; id < 1'200; ++id) rig_.Append(kProducers, MakeBatchOf(1), ProducerStamp{id, 0, 0});
  rig_.Wait();
  // Into another segment: how much to spare is worked out anew for each.
  for (int i = 0; i < 9; ++i) {
    rig_.Append(kFilled, MakeLargeBatch("filled", 200'000));
    rig_.Wait();
    ASSERT_TRUE(rig_.store().RunMaintenance().ok());
  }
  FillUp();
  rig_.Delete(kFilled);
  rig_.Wait();
  ExpectSpaceAgain();
}

TEST_F(FullDisk, NewLogsAreRefusedBeforeThereIsNoRoomToGiveAnythingUp) {
  FillUp();
  // The first ones may be smaller than the smallest batch.
  for (int i = 0; i < 60; ++i) rig_.Create(rig_.UnusedLog());
  EXPECT_LT(rig_.store().Logs().size(), 30u);
  EXPECT_EQ(rig_.Check(), "");
  rig_.BeginEpoch(kOther, LeaderEpoch(1));
  rig_.Wait();
  EXPECT_EQ(rig_.store().Info(kOther)->leader_epoch, LeaderEpoch(1)) << "leadership goes on";
}

TEST_F(FullDisk, AStartNeedsNoRoomForWhatACrashCutOff) {
  rig_.Append(kFilled, MakeLargeBatch("acked", 400'000));
  rig_.Wait();
  Fill(400'000);
  // Written, not synced, and of it not all is there.
  rig_.files().CutPowerAt(rig_.files().operations() + 2);
  rig_.Append(kFilled, MakeLargeBatch("cut", 50'000));
  rig_.Wait();
  ASSERT_TRUE(rig_.dead());
  rig_.Crash({Survival::Mode::kEverything, 1}, IndexFate::kKept);
  const std::string newest = rig_.Segments().back();
  const std::string contents = rig_.files().Contents(newest);
  rig_.files().FlipBit(newest, contents.find_last_not_of('\0') - 1'000, 3);
  rig_.files().SetCapacity(kSegments);
  const absl::Status opened = rig_.Open();
  ASSERT_TRUE(opened.ok()) << opened;
  EXPECT_GE(rig_.store().Stats().torn_tail_bytes, 50'000);
  EXPECT_TRUE(rig_.files().List(rig_.options().directory + "/aside")->empty()) << "no room for a copy";
  rig_.files().SetCapacity(kDiskBytes);
  ASSERT_EQ(rig_.Check(), "");
  rig_.Delete(kFilled);
  rig_.Wait();
  ExpectSpaceAgain();
}

TEST_F(FullDisk, AStartWithLargerSegmentsGoesOnWithTheSmallOne) {
  FillUp();
  rig_.Close();
  rig_.options().segment_bytes *= 2;
  const absl::Status opened = rig_.Open();
  ASSERT_TRUE(opened.ok()) << opened;
  rig_.files().SetCapacity(kDiskBytes + (uint64_t{64} << 10));
  rig_.Delete(kFilled);
  rig_.Wait();
  ExpectSpaceAgain();
}

TEST_F(FullDisk, RandomWorkloadsOnAFullDiskLoseNothingAndEndWithRoom) {
  rig_.Close();
  int64_t refusals = 0;
  for (uint32_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    CrashRig rig;
    rig.files().SetCapacity(kDiskBytes);
    ASSERT_TRUE(rig.Open().ok());
    Workload workload(rig, seed);
    for (int round = 0; round < 4; ++round) {
      workload.Run(80);
      ASSERT_FALSE(rig.dead()) << "a full disk is an answer, not an end";
      refusals += rig.store().Stats().storage_full_refusals;
      rig.Crash(workload.PickSurvival(), workload.PickFate());
      const absl::Status opened = rig.Open();
      ASSERT_TRUE(opened.ok()) << opened << "\n" << rig.Describe();
      ASSERT_EQ(rig.Check(), "") << rig.Describe();
    }
    for (const LogId log : rig.Live()) rig.Delete(log);
    rig.Wait();
    EXPECT_TRUE(rig.Live().empty());
    EXPECT_TRUE(rig.store().Logs().empty());
    for (int i = 0; i < 3; ++i) (void)rig.store().RunMaintenance();
    const LogId log = rig.UnusedLog();
    rig.Create(log);
    rig.Append(log, MakeLargeBatch("there is room", 500'000));
    rig.Wait();
    ASSERT_EQ(rig.Live(), std::vector<LogId>{log});
    EXPECT_EQ(rig.store().Info(log)->end, Offset(1));
    rig.Close();
  }
  EXPECT_GT(refusals, 0) << "the disk was full";
}

TEST_F(FullDisk, ASegmentIsNotEvenBegunWhereTheIndexWouldFindNoRoomBesideIt) {
  rig_.files().SetCapacity(uint64_t{2} << 20);
  int created = 0;
  rig_.files().SetHook([&](const DiskOperation& operation) {
    if (operation.kind == DiskOperation::Kind::kCreate) ++created;
  });
  for (int i = 0; i < 10; ++i) {
    rig_.Append(kFilled, MakeLargeBatch("filled", 200'000));
    rig_.Wait();
  }
  EXPECT_GT(Refusals(), 3);
  EXPECT_EQ(created, 0);
  rig_.files().SetCapacity(kDiskBytes);
  const int64_t before = Refusals();
  rig_.Append(kFilled, MakeLargeBatch("there is room", 200'000));
  rig_.Wait();
  EXPECT_EQ(Refusals(), before);
  EXPECT_EQ(created, 1);
  rig_.files().SetHook(nullptr);
  rig_.Close();
}

}  // namespace
}  // namespace naru::testing
