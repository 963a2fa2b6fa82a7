// Giving space back: retention, deletion, segments removed and rewritten, and what is left of a store whose
// index is lost afterwards.
#include <gmock/gmock.h>

#include "tests/storage/store/store_fixture.h"

namespace naru::testing {
namespace {

class StoreSpace : public StoreTest {
 protected:
  void SetUp() override {
    Open();
    ASSERT_TRUE(Create({kA, kB, kC}).ok());
  }
  // Appends `count` batches of about `bytes` to `log`.
  void Fill(LogId log, int count, size_t bytes) {
    for (int i = 0; i < count; ++i) ASSERT_TRUE(Append(log, absl::StrCat(log.value(), ".", i), bytes).ok());
  }
  // Everything comes back the same from the index, from a kill, and from the segments alone.
  void ExpectSameAfterEveryKindOfStart() {
    const std::string before = Portrait();
    KillAndOpen();
    EXPECT_EQ(Portrait(), before) << "after a kill";
    Reopen();
    EXPECT_EQ(Portrait(), before) << "after a stop";
    Close();
    DeleteIndex();
    Open();
    EXPECT_EQ(Portrait(), before) << "without an index";
  }
};

TEST_F(StoreSpace, ALogKeptSmallGivesItsDiskBackWhileOthersLiveOn) {
  ASSERT_TRUE(store_->Configure(kA, {.retention_bytes = 300'000}).ok());
  Fill(kB, 5, 1'000);
  for (int round = 0; round < 5; ++round) {
    Fill(kA, 30, 100'000);
    ASSERT_TRUE(store_->RunMaintenance().ok());
  }
  EXPECT_LE(Info(kA).size_bytes, 300'000);
  EXPECT_GE(Info(kA).size_bytes, 200'000);
  EXPECT_EQ(Info(kA).end, Offset(150));
  EXPECT_LE(SegmentFiles().size(), 5u) << "of about 16 written";
  EXPECT_GT(store_->Stats().segments_removed, 8);
  EXPECT_EQ(Info(kB).log_start, Offset(0));
  ExpectSameAfterEveryKindOfStart();
}

TEST_F(StoreSpace, RetentionByTimeTakesWholeBatchesByAppendTime) {
  ASSERT_TRUE(store_->Configure(kA, {.retention_ms = 10'000}).ok());
  Fill(kA, 3, 100);
  clock_.AdvanceMs(6'000);
  Fill(kA, 3, 100);
  clock_.AdvanceMs(4'000);
  ASSERT_TRUE(store_->RunMaintenance().ok());
  EXPECT_EQ(Info(kA).log_start, Offset(0)) << "exactly as old as allowed";
  clock_.AdvanceMs(1);
  ASSERT_TRUE(store_->RunMaintenance().ok());
  EXPECT_EQ(Info(kA).log_start, Offset(3));
  clock_.AdvanceMs(6'000);
  ASSERT_TRUE(store_->RunMaintenance().ok());
  EXPECT_EQ(Info(kA).log_start, Offset(6));
  EXPECT_EQ(Info(kA).size_bytes, 0);
  EXPECT_EQ(store_->Stats().retention_moves, 2);
}

TEST_F(StoreSpace, ALogWithoutBatchesKeepsItsEndWhenItsSegmentsAreGoneAndTheIndexIsLost) {
  Fill(kA, 30, 100'000);
  ASSERT_TRUE(MoveStart(kA, 30).ok());
  Fill(kB, 1, 100);
  ASSERT_TRUE(store_->RunMaintenance().ok());
  EXPECT_LE(SegmentFiles().size(), 2u);
  ExpectSameAfterEveryKindOfStart();
  EXPECT_EQ(Info(kA).end, Offset(30));
  EXPECT_EQ(Append(kA, "next")->base_offset, Offset(30));
}

TEST_F(StoreSpace, AFullRebuildAfterHeavyRetentionGivesTheSameAndDeadIdsStayDead) {
  ASSERT_TRUE(Delete({kC}).ok());
  std::vector<LogId> passing;
  for (int round = 0; round < 6; ++round) {
    const LogId id(100 + static_cast<uint64_t>(round));
    ASSERT_TRUE(Create({id}).ok());
    Fill(id, 12, 80'000);
    Fill(kA, 4, 40'000);
    Fill(kB, 2, 3'000);
    if (round >= 2) {
      ASSERT_TRUE(Delete({LogId(98 + static_cast<uint64_t>(round))}).ok());
    }
    if (round == 4) {
      ASSERT_TRUE(Truncate(kB, 5).ok());
    }
    ASSERT_TRUE(MoveStart(kA, round * 3).ok());
    ASSERT_TRUE(store_->RunMaintenance().ok());
  }
  EXPECT_GT(store_->Stats().segments_removed, 2);
  ExpectSameAfterEveryKindOfStart();
  for (const uint64_t id : {3, 100, 101, 102, 103}) {
    EXPECT_EQ(ReasonOf(Create({LogId(id)})), Reason::kInvalidTopicState) << id;
  }
}

TEST_F(StoreSpace, WhatIsAliveInASparseSegmentIsMovedAndReadTheSame) {
  // Small live batches among large ones that die.
  for (int i = 0; i < 60; ++i) {
    ASSERT_TRUE(Append(kA, absl::StrCat("small ", i), 500).ok());
    ASSERT_TRUE(Append(kB, "large", 60'000).ok());
    if (i % 5 == 0) {
      ASSERT_TRUE(Append(kC, absl::StrCat("other ", i), 2'000).ok());
    }
  }
  ASSERT_TRUE(Delete({kB}).ok());
  const std::string before = Portrait();
  const size_t files = SegmentFiles().size();
  ASSERT_TRUE(store_->RunMaintenance().ok());
  EXPECT_LT(SegmentFiles().size(), files);
  EXPECT_LE(SegmentFiles().size(), 3u);
  EXPECT_GT(store_->Stats().relocated_bytes, 30'000);
  options_.tail_cache_bytes = 0;
  EXPECT_EQ(Portrait(), before);
  ExpectSameAfterEveryKindOfStart();
  // What was moved can be cut, given up and moved again.
  ASSERT_TRUE(Truncate(kA, 41).ok());
  ASSERT_TRUE(MoveStart(kA, 17).ok());
  Fill(kC, 25, 100'000);
  ASSERT_TRUE(Create({LogId(50)}).ok());
  Fill(LogId(50), 20, 100'000);
  ASSERT_TRUE(Delete({LogId(50)}).ok());
  ASSERT_TRUE(store_->RunMaintenance().ok());
  ExpectSameAfterEveryKindOfStart();
  EXPECT_EQ(Info(kA).log_start, Offset(17));
  EXPECT_EQ(Info(kA).end, Offset(41));
}

TEST_F(StoreSpace, ADeletedLogsDiskComesBack) {
  Fill(kA, 60, 100'000);
  const size_t files = SegmentFiles().size();
  ASSERT_GE(files, 6u);
  ASSERT_TRUE(Delete({kA}).ok());
  ASSERT_TRUE(store_->RunMaintenance().ok());
  EXPECT_LE(SegmentFiles().size(), 2u);
  EXPECT_EQ(store_->Stats().live_bytes, 0);
}

TEST_F(StoreSpace, ManyDeletedLogsAreForgottenInPiecesThatFitIntoASegment) {
  std::vector<LogId> logs;
  for (uint64_t i = 0; i < 66'000; ++i) logs.push_back(LogId(100 + i));
  ASSERT_TRUE(Create(logs).ok());
  ASSERT_TRUE(Delete(logs).ok());
  const absl::Status maintained = store_->RunMaintenance();
  EXPECT_TRUE(maintained.ok()) << maintained;
  Reopen();
  EXPECT_EQ(store_->Logs().size(), 3u);
}

TEST_F(StoreSpace, AnIdleStoreComesToRest) {
  Fill(kA, 60, 100'000);
  ASSERT_TRUE(Delete({kA}).ok());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(store_->RunMaintenance().ok());
  const int64_t removed = store_->Stats().segments_removed;
  const int64_t checkpoints = store_->Stats().checkpoints;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(store_->RunMaintenance().ok());
  EXPECT_EQ(store_->Stats().segments_removed, removed);
  EXPECT_EQ(store_->Stats().checkpoints, checkpoints);
}

TEST_F(StoreSpace, ARebuildForgetsASegmentThatWasStruckOffThoughItsFileIsStillThere) {
  options_.compact_below_live_share = 0;
  Reopen();
  // Two segments that die at different times, the second for a snapshot that is there already.
  Fill(kA, 3, 300'000);
  Fill(kC, 3, 300'000);
  Fill(kA, 2, 300'000);
  ASSERT_TRUE(MoveStart(kA, 3).ok());
  ASSERT_TRUE(store_->RunMaintenance().ok());
  ASSERT_EQ(SegmentFiles().front(), "0000000000000002.seg");
  const std::string struck_off = SegmentPath(0);
  std::filesystem::copy(struck_off, root_ + "/kept");
  // Behind that snapshot, in a segment of its own that stays.
  Fill(kA, 4, 300'000);
  ASSERT_TRUE(MoveStart(kC, 3).ok());
  ASSERT_TRUE(store_->RunMaintenance().ok());
  ASSERT_FALSE(std::filesystem::exists(struck_off));
  Fill(kB, 1, 100);
  Fill(kA, 4, 300'000);
  // The segment with that snapshot goes.
  ASSERT_TRUE(MoveStart(kA, 13).ok());
  ASSERT_TRUE(store_->RunMaintenance().ok());
  ASSERT_GT(store_->Stats().segments_removed, 2);
  const std::string before = Portrait();
  Close();
  // Its removal failed at the time, say.
  std::filesystem::copy(root_ + "/kept", struck_off);
  DeleteIndex();
  Open();
  EXPECT_EQ(Portrait(), before) << "rebuilt";
  EXPECT_FALSE(std::filesystem::exists(struck_off));
  ASSERT_NO_FATAL_FAILURE(Reopen());
  EXPECT_EQ(Portrait(), before) << "once more";
}

TEST_F(StoreSpace, AReaderInTheMiddleOfASegmentThatGoesIsNotDisturbed) {
  Fill(kA, 30, 100'000);
  options_.tail_cache_bytes = 0;
  Reopen();
  const auto held = Read(kA, 0, 4 << 20);
  ASSERT_TRUE(held.ok());
  ASSERT_TRUE(Delete({kA}).ok());
  ASSERT_TRUE(store_->RunMaintenance().ok());
  EXPECT_EQ(RecordsOf(held->batches).front().value.substr(0, 3), "1.0");
}

TEST_F(StoreSpace, CheckpointsBoundWhatAStartReplays) {
  Close();
  options_.checkpoint_bytes = int64_t{1} << 20;
  Open();
  Fill(kA, 100, 100'000);
  // The maintainer is told by the syncer.
  for (;;) {
    const int seen = events_.Count("checkpoint");
    if (store_->Stats().bytes_since_checkpoint <= 3 << 20) break;
    ASSERT_TRUE(events_.AwaitMore("checkpoint", seen));
  }
  EXPECT_GT(store_->Stats().checkpoints, 0);
  const std::string before = Portrait();
  KillAndOpen();
  EXPECT_LT(store_->Stats().replayed_bytes, 4 << 20);
  EXPECT_EQ(Portrait(), before);
}

}  // namespace
}  // namespace naru::testing
