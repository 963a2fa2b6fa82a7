// Segments that are mostly dead and are emptied: how much at a time, with how much disk, and what cannot be
// moved.
#include <gmock/gmock.h>

#include <atomic>

#include "tests/storage/store/hooked_files.h"
#include "tests/storage/store/store_fixture.h"

namespace naru::testing {
namespace {

class StoreRelocation : public StoreTest {
 protected:
  void SetUp() override {
    files_ = &hooked_;
    Open();
    ASSERT_TRUE(Create({kA, kB, kC}).ok());
  }
  void TearDown() override {
    hooked_.Release();
    store_.reset();
  }
  // As many segments, about, a quarter of which stays alive when kA is deleted.
  void FillSegments(int segments) {
    for (int i = 0; i < segments; ++i) {
      ASSERT_TRUE(Append(kB, absl::StrCat("kept ", i), 250'000).ok());
      for (int k = 0; k < 3; ++k) ASSERT_TRUE(Append(kA, "given up", 260'000).ok());
    }
  }
  void Maintain() {
    const absl::Status maintained = store_->RunMaintenance();
    ASSERT_TRUE(maintained.ok()) << maintained;
  }

  HookedFiles hooked_;
};

TEST_F(StoreRelocation, TakesLittleMoreDiskThanThereWasHoweverMuchIsSparse) {
  FillSegments(24);
  ASSERT_TRUE(Delete({kA}).ok());
  const std::string before = Portrait();
  const int64_t segments = store_->Stats().segments;
  std::atomic<int64_t> most = 0;
  hooked_.SetHook([&](const FileCall& call) {
    if (call.kind == FileCall::Kind::kOpen) most = std::max<int64_t>(most, store_->Stats().segments);
  });
  const int64_t moved = store_->Stats().relocated_bytes;
  Maintain();
  EXPECT_GT(store_->Stats().relocated_bytes, moved);
  EXPECT_LT(store_->Stats().relocated_bytes, 2 * options_.segment_bytes) << "in one round";
  EXPECT_LT(store_->Stats().segments, segments) << "what was emptied goes in the same round";
  int rounds = 1;
  for (int64_t last = 0; last != store_->Stats().relocated_bytes && rounds < 100; ++rounds) {
    last = store_->Stats().relocated_bytes;
    Maintain();
  }
  EXPECT_LE(most, segments + 2);
  EXPECT_LE(store_->Stats().segments, 24 / 3);
  EXPECT_EQ(Portrait(), before);
}

TEST_F(StoreRelocation, WaitsUntilTwoFurtherSegmentsFitOnTheDisk) {
  FillSegments(4);
  ASSERT_TRUE(Delete({kA}).ok());
  hooked_.SetAvailable(static_cast<uint64_t>(2 * options_.segment_bytes - 1));
  Maintain();
  EXPECT_EQ(store_->Stats().relocated_bytes, 0);
  EXPECT_EQ(store_->Stats().relocations_held_off, 1);
  hooked_.SetAvailable(static_cast<uint64_t>(2 * options_.segment_bytes));
  Maintain();
  EXPECT_GT(store_->Stats().relocated_bytes, 0);
  EXPECT_EQ(store_->Stats().relocations_held_off, 1);
}

TEST_F(StoreRelocation, ADamagedBatchStaysWhereItIsAndTheRestOfItsSegmentIsMoved) {
  ASSERT_TRUE(Append(kB, "the damaged one", 50'000).ok());
  ASSERT_TRUE(Append(kC, "a good one", 50'000).ok());
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(Append(kA, "given up", 300'000).ok());
  options_.tail_cache_bytes = 0;
  Reopen();
  const std::string path = SegmentPath(0);
  Flip(path, Find(path, "the damaged one"));
  ASSERT_TRUE(Delete({kA}).ok());
  Maintain();
  const int64_t moved = store_->Stats().relocated_bytes;
  EXPECT_GE(moved, 50'000);
  EXPECT_LT(moved, 60'000);
  EXPECT_EQ(events_.Count("relocation_failed"), 1);
  for (int round = 0; round < 3; ++round) Maintain();
  EXPECT_EQ(store_->Stats().relocated_bytes, moved);
  EXPECT_EQ(events_.Count("relocation_failed"), 1) << "said once, until something changes";
  EXPECT_TRUE(Read(kC, 0).ok());
  EXPECT_EQ(ReasonOf(Read(kB, 0).status()), Reason::kCorruptData) << "not carried along, not hidden";
  EXPECT_EQ(SegmentPath(0), path);
  // Given up, it keeps its segment no longer.
  ASSERT_TRUE(Delete({kB}).ok());
  Maintain();
  EXPECT_NE(SegmentPath(0), path);
}

TEST_F(StoreRelocation, WhatChangesInASegmentThatCouldNotBeEmptiedIsAReasonToTryAgain) {
  ASSERT_TRUE(Append(kB, "damaged, then given up", 50'000).ok());
  ASSERT_TRUE(Append(kC, "the damaged one", 50'000).ok());
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(Append(kA, "given up", 300'000).ok());
  const std::string path = SegmentPath(0);
  Flip(path, Find(path, "damaged, then given up"));
  Flip(path, Find(path, "the damaged one"));
  ASSERT_TRUE(Delete({kA}).ok());
  Maintain();
  Maintain();
  EXPECT_EQ(events_.Count("relocation_failed"), 1);
  ASSERT_TRUE(Delete({kB}).ok());
  Maintain();
  Maintain();
  EXPECT_EQ(events_.Count("relocation_failed"), 2);
}

TEST_F(StoreRelocation, WhatLiesBeforeADamagedHeaderIsMoved) {
  ASSERT_TRUE(Append(kC, "before it", 50'000).ok());
  ASSERT_TRUE(Append(kB, "the damaged one", 50'000).ok());
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(Append(kA, "given up", 300'000).ok());
  const std::string path = SegmentPath(0);
  // Its record lies close behind its header, of 88 bytes.
  Flip(path, Find(path, "the damaged one") - 60);
  ASSERT_TRUE(Delete({kA}).ok());
  Maintain();
  const int64_t moved = store_->Stats().relocated_bytes;
  EXPECT_GE(moved, 50'000);
  EXPECT_LT(moved, 60'000);
  Maintain();
  EXPECT_EQ(events_.Count("relocation_failed"), 1);
  EXPECT_TRUE(Read(kC, 0).ok());
}

TEST_F(StoreRelocation, ABatchTooLargeForTheSegmentsOfNowStaysWhereItIs) {
  Close();
  options_.segment_bytes = int64_t{2} << 20;
  options_.compact_below_live_share = 0.7;
  Open();
  // Of these, the second to the fourth share a segment.
  ASSERT_TRUE(Append(kA, "given up", 1'500'000).ok());
  ASSERT_TRUE(Append(kB, "large", 1'200'000).ok());
  ASSERT_TRUE(Append(kC, "small", 1'000).ok());
  ASSERT_TRUE(Append(kA, "given up", 700'000).ok());
  ASSERT_TRUE(Append(kA, "given up", 1'500'000).ok());
  Close();
  options_.segment_bytes = int64_t{1} << 20;
  Open();
  ASSERT_TRUE(Delete({kA}).ok());
  const std::string before = Portrait();
  for (int round = 0; round < 3; ++round) Maintain();
  EXPECT_EQ(events_.Count("relocation_failed"), 1);
  EXPECT_GT(store_->Stats().relocated_bytes, 1'000);
  EXPECT_LT(store_->Stats().relocated_bytes, 5'000) << "the small one alone, once";
  EXPECT_EQ(Portrait(), before);
}

}  // namespace
}  // namespace naru::testing
