// A disk that is full to the last segment: what is given up comes back, whatever was written last.
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "tests/storage/faults/crash_rig.h"

namespace naru::testing {
namespace {

constexpr LogId kFilled(1), kOther(2), kProducers(3);
constexpr uint64_t kDiskBytes = uint64_t{3} << 20;

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

}  // namespace
}  // namespace naru::testing
