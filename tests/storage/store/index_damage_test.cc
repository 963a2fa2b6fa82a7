// A bit flipped in a data block of the index: whoever meets it first, the segments say what was there.
#include <gmock/gmock.h>

#include <fstream>

#include "absl/synchronization/blocking_counter.h"
#include "tests/storage/store/store_fixture.h"

namespace naru::testing {
namespace {

constexpr uint64_t kLogs = 1'500;

class IndexDamage : public StoreTest {
 protected:
  // Many logs with a run each, all in the index and in one segment.
  void SetUp() override {
    options_.tail_cache_bytes = 0;
    Open();
    for (uint64_t id = 1; id <= kLogs; ++id) logs_.push_back(LogId(id));
    ASSERT_TRUE(Create(logs_).ok());
    absl::BlockingCounter left(kLogs);
    for (const LogId log : logs_) {
      store_->Append(AppendOf(log, MakeBatch({TestRecord(absl::StrCat("of ", log.value()))})),
                     [&](const absl::StatusOr<Appended>& appended) {
                       EXPECT_TRUE(appended.ok()) << appended.status();
                       left.DecrementCount();
                     });
    }
    left.Wait();
    ASSERT_TRUE(store_->Checkpoint().ok());
  }

  std::string IndexPath() const { return options_.directory + "/index"; }
  // In the block at this share of the largest file of rows: logs come first, their runs behind them.
  void FlipABit(double share) {
    std::filesystem::path largest;
    for (const auto& entry : std::filesystem::directory_iterator(IndexPath())) {
      if (entry.path().extension() != ".sst") continue;
      if (largest.empty() || entry.file_size() > std::filesystem::file_size(largest)) largest = entry.path();
    }
    ASSERT_FALSE(largest.empty());
    const auto size = static_cast<double>(std::filesystem::file_size(largest));
    Flip(largest, static_cast<uint64_t>(size * share));
  }
  bool IsRebuilt() const {
    return std::filesystem::exists(options_.directory + "/aside") && store_->Stats().replayed_entries > 0;
  }

  std::vector<LogId> logs_;
};

TEST_F(IndexDamage, ASmallIndexIsCheckedWholeAndRebuilt) {
  const std::string before = Portrait();
  for (const double share : {0.2, 0.75}) {
    Close();
    FlipABit(share);
    ASSERT_NO_FATAL_FAILURE(Open());
    EXPECT_TRUE(IsRebuilt()) << share;
    EXPECT_EQ(Portrait(), before) << share;
  }
  EXPECT_EQ(events_.Count("index_damaged"), 2);
  const std::filesystem::directory_iterator aside(options_.directory + "/aside");
  EXPECT_EQ(std::distance(begin(aside), end(aside)), 1) << "the newest only";
  Reopen();
  EXPECT_EQ(store_->Stats().replayed_entries, 0) << "the new one is whole";
}

TEST_F(IndexDamage, RowsOfLogsThatAStartCannotReadAreRebuilt) {
  const std::string before = Portrait();
  Close();
  options_.index_verify_bytes_max = 0;
  FlipABit(0.2);
  ASSERT_NO_FATAL_FAILURE(Open());
  EXPECT_TRUE(IsRebuilt());
  EXPECT_EQ(events_.Count("index_damaged"), 1);
  EXPECT_EQ(Portrait(), before);
}

TEST_F(IndexDamage, RowsOfRunsThatAReplayCannotReadAreRebuilt) {
  // An index of before the deletion, whose entries will be replayed over it.
  Close();
  std::filesystem::copy(IndexPath(), root_ + "/older", std::filesystem::copy_options::recursive);
  ASSERT_NO_FATAL_FAILURE(Open());
  logs_.pop_back();
  ASSERT_TRUE(Delete(logs_).ok());
  ASSERT_TRUE(store_->RunMaintenance().ok());
  const std::string before = Portrait();
  Close();
  std::filesystem::remove_all(IndexPath());
  std::filesystem::rename(root_ + "/older", IndexPath());
  options_.index_verify_bytes_max = 0;
  FlipABit(0.75);
  ASSERT_NO_FATAL_FAILURE(Open());
  EXPECT_TRUE(IsRebuilt());
  EXPECT_EQ(events_.Count("index_damaged"), 1);
  EXPECT_EQ(Portrait(), before);
}

TEST_F(IndexDamage, WhatAReaderMeetsIsToldAndRebuiltByTheNextStart) {
  const std::string before = Portrait();
  Close();
  options_.index_verify_bytes_max = 0;
  FlipABit(0.75);
  ASSERT_NO_FATAL_FAILURE(Open());
  EXPECT_FALSE(IsRebuilt());
  EXPECT_FALSE(store_->Stats().index_damaged);
  int64_t failed = 0;
  for (const LogId log : logs_) {
    const auto read = Read(log, 0);
    if (read.ok()) continue;
    EXPECT_EQ(read.status().code(), absl::StatusCode::kDataLoss) << read.status();
    ++failed;
  }
  EXPECT_GT(failed, 0);
  EXPECT_LT(failed, static_cast<int64_t>(kLogs) / 2) << "others go on";
  EXPECT_TRUE(store_->Stats().index_damaged);
  for (int i = 0; i < 2; ++i) (void)store_->RunMaintenance();
  EXPECT_EQ(events_.Count("index_damaged"), 1) << "told once";
  Reopen();
  EXPECT_TRUE(IsRebuilt());
  EXPECT_FALSE(store_->Stats().index_damaged);
  EXPECT_EQ(Portrait(), before);
}

TEST_F(IndexDamage, AHoleInTheSegmentsLeavesTheIndexWhereItIs) {
  Close();
  std::filesystem::remove(SegmentPath(0));
  EXPECT_EQ(TryOpen().code(), absl::StatusCode::kDataLoss);
  EXPECT_FALSE(std::filesystem::exists(options_.directory + "/aside"));
  EXPECT_EQ(events_.Count("index_damaged"), 0);
}

}  // namespace
}  // namespace naru::testing
