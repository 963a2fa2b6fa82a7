// What salvage gets out of a damaged store.
#include <gmock/gmock.h>

#include <filesystem>

#include "absl/synchronization/blocking_counter.h"
#include "tests/storage/store/store_fixture.h"

namespace naru::testing {
namespace {

class StoreSalvage : public StoreTest {
 protected:
  void SetUp() override {
    Open();
    ASSERT_TRUE(Create({kA, kB, kC}).ok());
  }
  // Salvages what is there into a fresh directory and opens that.
  SalvageReport SalvageAndOpen() {
    Close();
    const std::string to = root_ + "/saved";
    auto report = Salvage(options_.directory, to, *files_, clock_, events_);
    EXPECT_TRUE(report.ok()) << report.status();
    options_.directory = to;
    Open();
    return report.ok() ? *report : SalvageReport();
  }
};

TEST_F(StoreSalvage, OfAHealthyStoreEverythingIsSaved) {
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(Append(i % 2 ? kA : kB, absl::StrCat("v", i), 80'000).ok());
  ASSERT_TRUE(Truncate(kA, 10).ok());
  ASSERT_TRUE(Append(kA, "again").ok());
  ASSERT_TRUE(MoveStart(kB, 4).ok());
  ASSERT_TRUE(Delete({kC}).ok());
  const std::string before = Portrait();
  const SalvageReport report = SalvageAndOpen();
  EXPECT_EQ(Portrait(), before);
  EXPECT_THAT(report.damage, ::testing::IsEmpty());
  EXPECT_EQ(report.batches_saved, 11 + 11);
  EXPECT_GE(report.segments_read, 2);
}

TEST_F(StoreSalvage, BehindADamagedBatchTheLogGoesOnWithItsOffsets) {
  for (const char* value : {"zero", "one", "two", "three"}) ASSERT_TRUE(Append(kA, value).ok());
  for (const char* value : {"other zero", "other one"}) ASSERT_TRUE(Append(kB, value).ok());
  Close();
  Flip(SegmentPath(0), Find(SegmentPath(0), "two"));
  DeleteIndex();
  ASSERT_EQ(TryOpen().code(), absl::StatusCode::kDataLoss);
  const SalvageReport report = SalvageAndOpen();
  EXPECT_EQ(report.batches_damaged, 1);
  EXPECT_EQ(report.damage.size(), 2u) << "the place, and the offsets left behind";
  EXPECT_EQ(Info(kA).log_start, Offset(3));
  EXPECT_EQ(Info(kA).end, Offset(4));
  EXPECT_EQ(RecordsOf(Read(kA, 3)->batches).front(), (SeenRecord{3, "three"}));
  EXPECT_EQ(Info(kB).log_start, Offset(0));
  EXPECT_EQ(Info(kB).end, Offset(2));
  EXPECT_EQ(Append(kA, "four")->base_offset, Offset(4));
}

TEST_F(StoreSalvage, WhatWasMovedIsFoundWhereItIsNow) {
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(Append(kA, absl::StrCat("small ", i), 300).ok());
    ASSERT_TRUE(Append(kB, "large", 60'000).ok());
  }
  ASSERT_TRUE(Delete({kB}).ok());
  ASSERT_TRUE(store_->RunMaintenance().ok());
  ASSERT_GT(store_->Stats().relocated_bytes, 0);
  const std::string before = Portrait();
  const SalvageReport report = SalvageAndOpen();
  EXPECT_THAT(report.damage, ::testing::IsEmpty());
  EXPECT_EQ(Portrait(), before);
}

TEST_F(StoreSalvage, AMissingSegmentCostsOnlyWhatWasInIt) {
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(Append(kA, absl::StrCat("v", i), 80'000).ok());
  ASSERT_TRUE(Append(kB, "in the last segment").ok());
  Close();
  ASSERT_GE(SegmentFiles().size(), 3u);
  std::filesystem::remove(SegmentPath(1));
  const SalvageReport report = SalvageAndOpen();
  EXPECT_GT(report.batches_saved, 10);
  EXPECT_EQ(Info(kA).end, Offset(40));
  EXPECT_GT(Info(kA).log_start, Offset(12));
  EXPECT_EQ(Info(kB).end, Offset(1));
}

TEST_F(StoreSalvage, SegmentsAreAsLargeAsThoseThatWereRead) {
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(Append(kA, absl::StrCat("v", i), 200'000).ok());
  ASSERT_TRUE(Append(kB, "large", static_cast<size_t>(options_.BatchBytesMax()) - 64).ok());
  const std::string before = Portrait();
  const SalvageReport report = SalvageAndOpen();
  EXPECT_THAT(report.damage, ::testing::IsEmpty());
  EXPECT_EQ(Portrait(), before);
  for (size_t i = 0; i < SegmentFiles().size(); ++i) {
    EXPECT_EQ(std::filesystem::file_size(SegmentPath(i)), 1u << 20) << SegmentFiles()[i];
  }
}

TEST_F(StoreSalvage, ManySmallBatchesSideBySideAreSavedIntoSmallSegments) {
  constexpr int kBatches = 9'000;
  absl::BlockingCounter left(kBatches);
  for (int i = 0; i < kBatches; ++i) {
    store_->Append(AppendOf(kA, MakeBatchOf(1)), [&](const absl::StatusOr<Appended>& appended) {
      EXPECT_TRUE(appended.ok()) << appended.status();
      left.DecrementCount();
    });
  }
  left.Wait();
  const SalvageReport report = SalvageAndOpen();
  EXPECT_EQ(report.batches_saved, kBatches);
  EXPECT_EQ(Info(kA).end, Offset(kBatches));
}

TEST_F(StoreSalvage, ADirectoryWithAStoreInItIsNotWrittenTo) {
  Close();
  const auto report = Salvage(options_.directory, options_.directory, *files_, clock_, events_);
  EXPECT_EQ(ReasonOf(report.status()), Reason::kInvalidField);
}

}  // namespace
}  // namespace naru::testing
