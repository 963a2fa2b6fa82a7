#include "storage/index/index.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "storage/base/strings.h"
#include "storage/index/rocks_logger.h"
#include "tests/recorded_events.h"

namespace naru {
namespace {

constexpr LogId kLog(7);

class IndexTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "naru-index-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
    options_.directory = root_ + "/index";
    options_.store_salt = 1;
  }
  void TearDown() override {
    index_.reset();
    std::filesystem::remove_all(root_);
  }

  absl::Status Open() {
    index_.reset();
    auto opened = Index::Open(options_);
    if (opened.ok()) index_ = *std::move(opened);
    return opened.status();
  }

  static naru::Run RunAt(int64_t base, int64_t next) {
    naru::Run run;
    run.base = Offset(base);
    run.next = Offset(next);
    run.segment = SegmentId(1);
    run.position = static_cast<uint64_t>(base) * 100;
    run.length = 100;
    return run;
  }

  void Put(LogId log, std::initializer_list<naru::Run> runs) {
    IndexUpdate update;
    for (const naru::Run& run : runs) update.PutRun(log, run);
    ASSERT_TRUE(index_->Commit(std::move(update)).ok());
  }

  // An index of one log's runs, closed, with a bit flipped in the middle of its file.
  void MakeWithDamagedRun() {
    ASSERT_TRUE(Open().ok());
    IndexUpdate update;
    for (int64_t i = 0; i < kManyRuns; ++i) update.PutRun(kLog, RunAt(i, i + 1));
    ASSERT_TRUE(index_->Commit(std::move(update)).ok());
    ASSERT_TRUE(index_->Flush().ok());
    index_.reset();
    for (const auto& entry : std::filesystem::directory_iterator(options_.directory)) {
      if (entry.path().extension() != ".sst") continue;
      const auto middle = static_cast<std::streamoff>(entry.file_size() / 2);
      std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
      file.seekg(middle);
      const char byte = static_cast<char>(file.get() ^ 0x04);
      file.seekp(middle);
      file.put(byte);
      ASSERT_TRUE(file.good());
    }
  }

  static constexpr int64_t kManyRuns = 5'000;
  testing::RecordedEvents events_;
  std::string root_;
  Index::Options options_;
  std::unique_ptr<Index> index_;
};

// A log of its own, on the same disk, would be one thing more that fails when that is full.
TEST_F(IndexTest, TheDatabaseSpeaksInEventsOnly) {
  options_.events = &events_;
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(index_->Flush().ok());
  for (const auto& entry : std::filesystem::directory_iterator(options_.directory)) {
    EXPECT_FALSE(entry.path().filename().string().starts_with("LOG")) << entry.path();
  }

  RocksLogger logger("directory", events_);
  rocksdb::Info(&logger, "file %d is made", 7);
  rocksdb::Header(&logger, "version %d", 7);
  EXPECT_EQ(events_.Count("rocksdb"), 0) << events_.Field("rocksdb", "text");
  rocksdb::Warn(&logger, "file %d stalls writes\n", 7);
  EXPECT_EQ(events_.Count("rocksdb"), 1);
  EXPECT_EQ(events_.Field("rocksdb", "text"), "file 7 stalls writes");
  rocksdb::Error(&logger, "%s", std::string(5'000, 'x').c_str());
  EXPECT_EQ(events_.Field("rocksdb", "text"), std::string(1'023, 'x'));
}

TEST_F(IndexTest, FindsTheRunThatHoldsAnOffsetAndNoneOfAnotherLog) {
  ASSERT_TRUE(Open().ok());
  Put(LogId(6), {RunAt(0, 100)});
  Put(kLog, {RunAt(10, 20), RunAt(20, 25)});
  Put(LogId(8), {RunAt(0, 100)});
  EXPECT_EQ((*index_->RunAt(kLog, Offset(10)))->base, Offset(10));
  EXPECT_EQ(*index_->RunAt(kLog, Offset(9)), std::nullopt);
  EXPECT_EQ(*index_->RunAt(kLog, Offset(11)), std::nullopt);
  EXPECT_EQ((*index_->FindRun(kLog, Offset(9))), std::nullopt);
  EXPECT_EQ((*index_->FindRun(kLog, Offset(10)))->base, Offset(10));
  EXPECT_EQ((*index_->FindRun(kLog, Offset(19)))->base, Offset(10));
  EXPECT_EQ((*index_->FindRun(kLog, Offset(20)))->base, Offset(20));
  EXPECT_EQ((*index_->FindRun(kLog, Offset(1'000)))->base, Offset(20));
}

TEST_F(IndexTest, RunsFromBeginsWithTheHolderAndStaysInTheLog) {
  ASSERT_TRUE(Open().ok());
  Put(LogId(6), {RunAt(0, 100)});
  Put(kLog, {RunAt(10, 20), RunAt(20, 25), RunAt(25, 40)});
  Put(LogId(8), {RunAt(0, 100)});
  const auto bases = [&](int64_t from, int64_t end, size_t count) {
    std::string text;
    const auto runs = index_->RunsFrom(kLog, Offset(from), Offset(end), count);
    for (const naru::Run& run : *runs) absl::StrAppend(&text, run.base.value(), " ");
    return text;
  };
  EXPECT_EQ(bases(0, 1'000, 10), "10 20 25 ");
  EXPECT_EQ(bases(12, 1'000, 10), "10 20 25 ");
  EXPECT_EQ(bases(20, 1'000, 10), "20 25 ");
  EXPECT_EQ(bases(12, 25, 10), "10 20 ");
  EXPECT_EQ(bases(12, 1'000, 1), "10 ");
  EXPECT_EQ(bases(40, 1'000, 10), "");
}

TEST_F(IndexTest, WhatWasCommittedAfterTheLastFlushIsGoneAfterAKillAndTheRestIsOfOneMoment) {
  ASSERT_TRUE(Open().ok());
  for (uint64_t i = 1; i <= 2; ++i) {
    IndexUpdate update;
    update.PutRun(kLog, RunAt(static_cast<int64_t>(i) * 10, static_cast<int64_t>(i) * 10 + 10));
    update.SetApplied({Sequence(i), SegmentId(1), i * 100});
    ASSERT_TRUE(index_->Commit(std::move(update)).ok());
    if (i == 1) {
      ASSERT_TRUE(index_->Flush().ok());
    }
  }
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(index_->Applied()->sequence, Sequence(1));
  EXPECT_EQ(index_->Applied()->position, 100u);
  EXPECT_EQ(index_->RunsFrom(kLog, Offset(0), Offset(100), 10)->size(), 1u);
}

TEST_F(IndexTest, AnotherStoresIndexIsRefused) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(index_->Flush().ok());
  options_.store_salt = 2;
  EXPECT_EQ(Open().code(), absl::StatusCode::kDataLoss);
}

TEST_F(IndexTest, ARebuildThatDidNotFinishIsRefused) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(index_->SetRebuilding(true).ok());
  EXPECT_EQ(Open().code(), absl::StatusCode::kDataLoss);
}

TEST_F(IndexTest, ADamagedFileIsRefused) {
  ASSERT_TRUE(Open().ok());
  Put(kLog, {RunAt(0, 10)});
  ASSERT_TRUE(index_->Flush().ok());
  index_.reset();
  for (const auto& entry : std::filesystem::directory_iterator(options_.directory)) {
    if (entry.path().extension() == ".sst") std::filesystem::remove(entry.path());
  }
  EXPECT_EQ(Open().code(), absl::StatusCode::kDataLoss);
}

TEST_F(IndexTest, ABlockWithAFlippedBitIsFoundWhenTheIndexIsOpened) {
  MakeWithDamagedRun();
  EXPECT_EQ(Open().code(), absl::StatusCode::kDataLoss);
}

TEST_F(IndexTest, DamageMetInUseIsReportedAndHasTheNextOpenRefuse) {
  MakeWithDamagedRun();
  options_.verify_bytes_max = 0;
  ASSERT_TRUE(Open().ok()) << "nothing that was read is damaged";
  EXPECT_FALSE(index_->damaged());
  EXPECT_TRUE(index_->RunsFrom(kLog, Offset(0), Offset(10), 10).ok());
  const auto runs = index_->RunsFrom(kLog, Offset(0), Offset(kManyRuns), kManyRuns);
  EXPECT_EQ(runs.status().code(), absl::StatusCode::kDataLoss) << runs.status();
  EXPECT_TRUE(index_->damaged());
  EXPECT_TRUE(index_->RunsFrom(kLog, Offset(0), Offset(10), 10).ok()) << "the rest goes on";
  EXPECT_EQ(Open().code(), absl::StatusCode::kDataLoss);
}

TEST_F(IndexTest, RowsOfEveryKindComeBack) {
  ASSERT_TRUE(Open().ok());
  IndexUpdate update;
  update.PutLog(kLog, "head");
  update.PutProducer(kLog, -5, "producer");
  update.PutSegment({SegmentId(3), Sequence(10), Sequence(20), 1'000, 400});
  update.PutDead(LogId(1), LogId(4));
  update.PutDoomed(LogId(2));
  update.PutSnapshot(Sequence(12));
  ASSERT_TRUE(index_->Commit(std::move(update)).ok());
  ASSERT_TRUE(index_->Flush().ok());
  ASSERT_TRUE(Open().ok());
  std::string seen;
  ASSERT_TRUE(index_
                  ->VisitLogs([&](LogId log, std::string_view head) {
                    absl::StrAppend(&seen, log.value(), head, " ");
                    return absl::OkStatus();
                  })
                  .ok());
  ASSERT_TRUE(index_
                  ->VisitProducers([&](LogId log, std::string_view entry) {
                    absl::StrAppend(&seen, log.value(), entry, " ");
                    return absl::OkStatus();
                  })
                  .ok());
  ASSERT_TRUE(index_
                  ->VisitDead([&](LogId first, LogId last) {
                    absl::StrAppend(&seen, first.value(), "-", last.value());
                  })
                  .ok());
  EXPECT_EQ(seen, "7head 7producer 1-4");
  EXPECT_EQ(index_->Segments()->front().live_bytes, 400);
  EXPECT_EQ(*index_->Doomed(), std::vector<LogId>{LogId(2)});
  EXPECT_EQ(*index_->Snapshot(), Sequence(12));
}

}  // namespace
}  // namespace naru
