// Compaction by key, as readers of the store see it.
#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <thread>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "storage/segments/segment.h"
#include "tests/storage/log/keyed_batches.h"
#include "tests/storage/store/store_fixture.h"

namespace naru::testing {
namespace {

constexpr LogId kLog(1);
constexpr int64_t kDay = 86'400'000;

class CompactionTest : public StoreTest {
 protected:
  CompactionTest() {
    options_.compaction_dirty_bytes_min = 0;
    options_.tail_cache_bytes = 0;
    settings_.compact = true;
    settings_.min_cleanable_dirty_ratio = 0;
  }

  void OpenCompacted() {
    Open();
    ASSERT_TRUE(Create({kLog}).ok());
    Configure();
  }
  void Configure() { ASSERT_TRUE(store_->Configure(kLog, settings_).ok()); }
  void ReopenCompacted() {
    Reopen();
    Configure();
  }
  // A batch of "k=v" and "k", separated by blanks.
  void Put(const std::string& records, Codec codec = Codec::kNone) {
    const std::vector<std::string> parts = absl::StrSplit(records, ' ');
    PutBatch(MakeKeyedBatch(parts, codec));
  }
  void PutBatch(TestBatch batch) {
    const auto appended = Await<absl::StatusOr<Appended>>([&](LogStore::AppendDone done) {
      store_->Append(AppendOf(kLog, std::move(batch)), std::move(done));
    });
    ASSERT_TRUE(appended.ok()) << appended.status();
  }
  void Compact() {
    const absl::Status done = store_->RunMaintenance();
    ASSERT_TRUE(done.ok()) << done;
  }
  // Every record from `from` on, as "3:k=v …".
  std::string Records(int64_t from = 0, int64_t bytes_max = 1 << 20) {
    std::vector<std::string> texts;
    const Offset end = Info(kLog).end;
    for (Offset at(from); at < end;) {
      const auto read = Read(kLog, at.value(), bytes_max);
      if (!read.ok()) return read.status().ToString();
      for (const SeenKeyed& seen : KeyedRecordsOf(read->batches, at)) texts.push_back(ToText(seen));
      EXPECT_GT(read->next_offset, at) << "it goes on";
      if (read->next_offset <= at) break;
      at = read->next_offset;
    }
    return absl::StrJoin(texts, " ");
  }
  CompactionStats Stats() { return store_->Stats().compaction; }

  LogSettings settings_;
};

TEST_F(CompactionTest, TheNewestRecordOfEachKeyStaysInItsPlace) {
  OpenCompacted();
  Put("a=1 b=1 c=1");
  Put("a=2");
  Put("d=1 b=2");
  Put("a=3 e=1");
  Compact();
  EXPECT_EQ(Records(), "2:c=1 4:d=1 5:b=2 6:a=3 7:e=1");
  EXPECT_EQ(Info(kLog).log_start, Offset(0));
  EXPECT_EQ(Info(kLog).end, Offset(8));
  EXPECT_EQ(Stats().passes, 1);
  EXPECT_EQ(Stats().records_left_out, 3);
  Put("c=2");
  Compact();
  EXPECT_EQ(Stats().passes, 2);
  EXPECT_EQ(Records(), "4:d=1 5:b=2 6:a=3 7:e=1 8:c=2");
}

TEST_F(CompactionTest, ReadingBeginsAtTheFirstRecordFromAnyOffset) {
  OpenCompacted();
  for (int i = 0; i < 10; ++i) Put("a=1 b=1 c=" + std::to_string(i));
  Put("z=1");
  Compact();
  const std::string all = Records();
  EXPECT_EQ(all, "27:a=1 28:b=1 29:c=9 30:z=1");
  for (int64_t from = 0; from <= 31; ++from) {
    std::string expected;
    for (const absl::string_view text : absl::StrSplit(all, ' ')) {
      if (std::stoll(std::string(text)) >= from)
        absl::StrAppend(&expected, expected.empty() ? "" : " ", text);
    }
    EXPECT_EQ(Records(from, 1), expected) << from;
  }
}

TEST_F(CompactionTest, ABatchKeepsItsOffsetsAndSaysThoseOfItsRecords) {
  OpenCompacted();
  Put("a=1 b=1 c=1 d=1");
  Put("a=2 c=2");
  Compact();
  const auto read = Read(kLog, 0);
  ASSERT_TRUE(read.ok());
  ASSERT_EQ(read->batches.size(), 2u);
  EXPECT_EQ(read->batches[0].base_offset, Offset(0));
  EXPECT_EQ(read->batches[0].next_offset, Offset(4));
  EXPECT_THAT(read->batches[0].offset_deltas, ::testing::ElementsAre(1, 3));
  EXPECT_THAT(read->batches[1].offset_deltas, ::testing::IsEmpty());
}

TEST_F(CompactionTest, CompressedBatchesAreThinnedAndStayCompressed) {
  OpenCompacted();
  const std::string filler(2'000, 'x');
  for (const Codec codec : {Codec::kGzip, Codec::kLz4, Codec::kZstd, Codec::kSnappy}) {
    Put("a=" + filler + " b=" + filler + " only" + std::to_string(static_cast<int>(codec)) + "=" + filler,
        codec);
  }
  Put("a=last b=last");
  Compact();
  std::vector<int64_t> offsets;
  const auto read = Read(kLog, 0);
  ASSERT_TRUE(read.ok());
  for (const SeenKeyed& seen : KeyedRecordsOf(read->batches)) offsets.push_back(seen.offset);
  EXPECT_THAT(offsets, ::testing::ElementsAre(2, 5, 8, 11, 12, 13));
  EXPECT_EQ(*CodecOf(read->batches[2].bytes), Codec::kZstd);
  EXPECT_LT(read->batches[2].bytes.size(), 1'000u);
}

TEST_F(CompactionTest, ATombstoneTakesItsKeyAwayAndGoesWhenItsTimeIsOver) {
  settings_.delete_retention_ms = kDay;
  OpenCompacted();
  Put("a=1 b=1");
  Put("a");
  Put("c=1");
  Compact();
  EXPECT_EQ(Records(), "1:b=1 2:a 3:c=1") << "readers who are slow must learn of it";
  clock_.AdvanceMs(kDay - 1);
  Compact();
  EXPECT_EQ(Records(), "1:b=1 2:a 3:c=1");
  clock_.AdvanceMs(kDay / 8 + 1);
  Compact();
  EXPECT_EQ(Records(), "1:b=1 3:c=1") << "without anything new having come";
  EXPECT_EQ(Stats().tombstones_left_out, 1);
}

TEST_F(CompactionTest, ATombstonesTimeBeginsWithThePassThatFirstReachesIt) {
  settings_.delete_retention_ms = kDay;
  OpenCompacted();
  Put("a=1");
  Put("a");
  clock_.AdvanceMs(10 * kDay);
  Compact();
  EXPECT_EQ(Records(), "1:a") << "it is old, but has not been clean for long";
  Put("b=1");
  clock_.AdvanceMs(kDay / 2);
  Compact();
  clock_.AdvanceMs(kDay / 2 + kDay / 8);
  Put("b=2");
  Compact();
  EXPECT_EQ(Records(), "3:b=2");
}

TEST_F(CompactionTest, AKeyThatComesBackAfterItsTombstoneStays) {
  settings_.delete_retention_ms = 0;
  OpenCompacted();
  Put("a=1");
  Put("a");
  Compact();
  Put("a=2");
  clock_.AdvanceMs(1'000);
  Compact();
  clock_.AdvanceMs(1'000);
  Compact();
  EXPECT_EQ(Records(), "2:a=2");
}

TEST_F(CompactionTest, RecordsAreLeftAloneWhileTheyAreYoung) {
  settings_.min_compaction_lag_ms = 60'000;
  OpenCompacted();
  Put("a=1");
  Put("a=2");
  clock_.AdvanceMs(59'999);
  Put("a=3");
  Compact();
  EXPECT_EQ(Records(), "0:a=1 1:a=2 2:a=3");
  clock_.AdvanceMs(10'000);
  Compact();
  EXPECT_EQ(Records(), "1:a=2 2:a=3") << "what is old enough is compacted, without regard to what is not";
  clock_.AdvanceMs(60'000);
  Compact();
  EXPECT_EQ(Records(), "2:a=3");
}

TEST_F(CompactionTest, NothingIsCompactedBeforeEnoughIsDirty) {
  settings_.min_cleanable_dirty_ratio = 0.5;
  OpenCompacted();
  const std::string filler(1'000, 'x');
  for (int i = 0; i < 10; ++i) Put("k" + std::to_string(i) + "=" + filler);
  Compact();
  EXPECT_EQ(Stats().passes, 1);
  for (int i = 0; i < 9; ++i) Put("k" + std::to_string(i) + "=" + filler);
  Compact();
  EXPECT_EQ(Stats().passes, 1) << "9 of 19 are less than half";
  EXPECT_GT(Stats().dirty_ratio_max, 0.4);
  for (int i = 0; i < 2; ++i) Put("k" + std::to_string(i) + "=" + filler);
  Compact();
  EXPECT_EQ(Stats().passes, 2);
  EXPECT_LT(Info(kLog).size_bytes, 11'000);
}

TEST_F(CompactionTest, AStoreOfFormatVersion1OpensAndIsCompactedIntoNewSegments) {
  OpenCompacted();
  Put("a=1 b=1");
  Close();
  // As an older program made it.
  std::fstream file(SegmentPath(0), std::ios::in | std::ios::out | std::ios::binary);
  std::string block(kSegmentHeaderBytes, '\0');
  file.read(block.data(), static_cast<std::streamsize>(block.size()));
  auto header = DecodeSegmentHeader(block);
  ASSERT_TRUE(header.ok() && header->has_value());
  (*header)->version = 1;
  block = EncodeSegmentHeader(**header);
  file.seekp(0);
  file.write(block.data(), static_cast<std::streamsize>(block.size()));
  file.close();
  Open();
  Configure();
  Put("c=1");
  EXPECT_EQ(SegmentFiles().size(), 1u) << "what version 1 has goes on where it was";
  Put("a=2");
  Compact();
  EXPECT_EQ(Records(), "1:b=1 2:c=1 3:a=2");
  EXPECT_GE(SegmentFiles().size(), 2u);
  ReopenCompacted();
  EXPECT_EQ(Records(), "1:b=1 2:c=1 3:a=2");
}

TEST_F(CompactionTest, WhatIsSalvagedOfACompactedLogIsWhatItWas) {
  OpenCompacted();
  for (int i = 0; i < 30; ++i) Put(absl::StrCat("a=", i, " k", i, "=1"));
  for (int i = 0; i < 25; ++i) Put(absl::StrCat("k", i, "=2"));
  Compact();
  const std::string records = Records();
  const LogInfo before = Info(kLog);
  Close();
  const std::string to = options_.directory + "-saved";
  const auto report = Salvage(options_.directory, to, *files_, clock_, events_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->records_saved, 31);
  options_.directory = to;
  Open();
  EXPECT_EQ(Records(), records);
  EXPECT_EQ(Info(kLog).end, before.end);
  EXPECT_EQ(Info(kLog).size_bytes, before.size_bytes);
}

TEST_F(CompactionTest, ALogWithoutTheSettingIsLeftAlone) {
  settings_.compact = false;
  OpenCompacted();
  Put("a=1 a=2");
  Compact();
  EXPECT_EQ(Records(), "0:a=1 1:a=2");
}

TEST_F(CompactionTest, RecordsWithoutKeyStay) {
  OpenCompacted();
  Put("=1 a=1 =2");
  Put("a=2");
  Compact();
  EXPECT_EQ(Records(), "0:=1 2:=2 3:a=2");
}

TEST_F(CompactionTest, MoreKeysThanTheMapHoldsTakeSeveralPasses) {
  options_.compaction_memory_bytes = 1'024;  // 31 keys
  OpenCompacted();
  for (int round = 0; round < 3; ++round) {
    for (int key = 0; key < 50; ++key) Put(absl::StrCat("k", key, "=", round));
  }
  for (int i = 0; i < 30; ++i) Compact();
  std::string expected;
  for (int key = 0; key < 50; ++key) absl::StrAppend(&expected, key ? " " : "", 100 + key, ":k", key, "=2");
  EXPECT_EQ(Records(), expected);
  EXPECT_GT(Stats().passes_cut_by_memory, 2);
}

TEST_F(CompactionTest, AMapSmallerThanABatchCutsItInTheMiddle) {
  options_.compaction_memory_bytes = 1'024;  // 31 keys
  OpenCompacted();
  std::vector<std::string> records;
  for (int key = 0; key < 100; ++key) records.push_back(absl::StrCat("k", key, "=1"));
  PutBatch(MakeKeyedBatch(records));
  PutBatch(MakeKeyedBatch(records));
  for (int i = 0; i < 12; ++i) Compact();
  const auto read = Read(kLog, 0);
  ASSERT_TRUE(read.ok());
  const auto seen = KeyedRecordsOf(read->batches);
  ASSERT_EQ(seen.size(), 100u);
  EXPECT_EQ(seen.front().offset, 100);
}

TEST_F(CompactionTest, ARoundReadsNoMoreThanItsShareAndTheNextGoesOn) {
  options_.maintenance_interval_ms = 1'000;
  options_.compaction_bytes_per_second = int64_t{1} << 20;
  OpenCompacted();
  const std::string filler(100'000, 'x');
  for (int i = 0; i < 60; ++i) Put(absl::StrCat("k", i % 3, "=", i, filler));
  Compact();
  EXPECT_LT(Stats().read_bytes, 3 << 20);
  for (int i = 0; i < 20 && Stats().passes == 0; ++i) Compact();
  const auto read = Read(kLog, 0);
  ASSERT_TRUE(read.ok());
  std::vector<int64_t> offsets;
  for (const SeenKeyed& seen : KeyedRecordsOf(read->batches)) offsets.push_back(seen.offset);
  EXPECT_THAT(offsets, ::testing::ElementsAre(57, 58, 59));
}

TEST_F(CompactionTest, TheDiskSpaceOfWhatWentComesBack) {
  OpenCompacted();
  const std::string filler(20'000, 'x');
  for (int i = 0; i < 400; ++i) Put(absl::StrCat("k", i % 5, "=", filler));
  const int64_t before = store_->Stats().segment_bytes;
  for (int i = 0; i < 4; ++i) Compact();
  EXPECT_LT(store_->Stats().segment_bytes, before / 2);
  EXPECT_LT(Info(kLog).size_bytes, 6 * 20'100);
  EXPECT_GT(Stats().given_back_bytes, 390 * 20'000);
}

TEST_F(CompactionTest, SmallLeftoversAreLaidSideBySide) {
  OpenCompacted();
  for (int i = 0; i < 200; ++i) Put(absl::StrCat("hot=", i, " k", i, "=1"));
  Compact();
  const auto read = Read(kLog, 0);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->batches.size(), 200u) << "one read takes them all";
  EXPECT_EQ(KeyedRecordsOf(read->batches).size(), 201u);
}

TEST_F(CompactionTest, HowFarALogIsCompactedIsRememberedAcrossARestart) {
  settings_.min_cleanable_dirty_ratio = 0.5;
  OpenCompacted();
  for (int i = 0; i < 10; ++i) Put(absl::StrCat("k", i % 2, "=", i));
  Compact();
  const std::string records = Records();
  ReopenCompacted();
  EXPECT_EQ(Records(), records);
  Compact();
  EXPECT_EQ(Stats().passes, 0) << "nothing is dirty";
  Close();
  DeleteIndex();
  ReopenCompacted();
  EXPECT_EQ(Records(), records);
  Compact();
  EXPECT_EQ(Stats().passes, 0) << "also when the index was rebuilt";
}

TEST_F(CompactionTest, ALostIndexIsRebuiltAlsoWhenSegmentsWentMeanwhile) {
  OpenCompacted();
  const std::string filler(50'000, 'x');
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 40; ++i) Put(absl::StrCat("k", i % 7, "=", round, filler));
    Compact();
  }
  for (int i = 0; i < 3; ++i) Compact();
  ASSERT_GT(store_->Stats().segments_removed, 0);
  const std::string portrait = Records();
  const int64_t size = Info(kLog).size_bytes;
  Close();
  DeleteIndex();
  Open();
  Configure();
  EXPECT_EQ(Records(), portrait);
  EXPECT_EQ(Info(kLog).size_bytes, size);
  Put("k1=new");
  Compact();
  EXPECT_EQ(Records().find("k1=3"), std::string::npos);
}

TEST_F(CompactionTest, ATruncationTakesOffTheEndOfACompactedLog) {
  OpenCompacted();
  Put("a=1 b=1");
  Put("a=2 c=1");
  Put("b=2");
  Put("d=1");
  options_.compaction_bound = nullptr;
  Compact();
  EXPECT_EQ(Records(), "2:a=2 3:c=1 4:b=2 5:d=1");
  ASSERT_TRUE(Truncate(kLog, 5).ok());
  EXPECT_EQ(Info(kLog).end, Offset(5));
  EXPECT_EQ(Records(), "2:a=2 3:c=1 4:b=2");
  ASSERT_TRUE(Truncate(kLog, 3).ok());
  EXPECT_EQ(Info(kLog).end, Offset(2)) << "a batch that it cuts goes whole";
  Put("e=1 a=5");
  Compact();
  EXPECT_EQ(Records(), "2:e=1 3:a=5");
  Close();
  DeleteIndex();
  ReopenCompacted();
  EXPECT_EQ(Records(), "2:e=1 3:a=5");
}

TEST_F(CompactionTest, NothingAboveTheBoundIsTouchedOrMakesAnythingGo) {
  std::atomic<int64_t> committed{0};
  options_.compaction_bound = [&](LogId) { return Offset(committed); };
  OpenCompacted();
  Put("a=1");
  Put("a=2");
  Put("a=3");
  Compact();
  EXPECT_EQ(Records(), "0:a=1 1:a=2 2:a=3");
  committed = 2;
  Compact();
  EXPECT_EQ(Records(), "1:a=2 2:a=3") << "what is not committed may go again, and a=2 with it";
  ASSERT_TRUE(Truncate(kLog, 2).ok());
  EXPECT_EQ(Records(), "1:a=2");
}

TEST_F(CompactionTest, ATimeIsFoundAmongWhatIsLeft) {
  OpenCompacted();
  PutBatch(MakeKeyedBatch({{"a", "1", 500}, {"b", "1", 100}}));
  PutBatch(MakeKeyedBatch({{"a", "2", 200}}));
  PutBatch(MakeKeyedBatch({{"c", "1", 300}}));
  Compact();
  const auto find = [&](int64_t timestamp_ms) {
    const auto found = Await<absl::StatusOr<std::optional<TimedOffset>>>(
        [&](LogStore::TimeDone done) { store_->FindByTime(kLog, timestamp_ms, std::move(done)); });
    EXPECT_TRUE(found.ok()) << found.status();
    return found.ok() && found->has_value() ? (*found)->offset.value() : -1;
  };
  EXPECT_EQ(find(50), 1);
  EXPECT_EQ(find(150), 2);
  EXPECT_EQ(find(250), 3);
  EXPECT_EQ(find(400), -1) << "what had been that late is gone";
}

TEST_F(CompactionTest, RetentionByBytesCountsWhatIsLeft) {
  OpenCompacted();
  const std::string filler(1'000, 'x');
  for (int i = 0; i < 50; ++i) Put("hot=" + filler);
  for (int i = 0; i < 4; ++i) Put(absl::StrCat("k", i, "=", filler));
  settings_.retention_bytes = 5'100;
  Compact();
  Configure();
  Compact();
  EXPECT_EQ(Info(kLog).log_start, Offset(0)) << "five are left";
  settings_.retention_bytes = 2'100;
  Configure();
  Compact();
  EXPECT_EQ(Info(kLog).log_start, Offset(52));
  EXPECT_LE(Info(kLog).size_bytes, 2'100);
}

TEST_F(CompactionTest, ReadersSeeEveryKeyWhileItGoesOn) {
  options_.compaction_bytes_per_second = int64_t{1} << 20;
  OpenCompacted();
  std::atomic<bool> stop{false};
  for (int key = 0; key < 20; ++key) Put(absl::StrCat("k", key, "=0"));
  std::thread compactor([&] {
    while (!stop) (void)store_->RunMaintenance();
  });
  for (int round = 1; round < 40; ++round) {
    for (int key = 0; key < 20; ++key) Put(absl::StrCat("k", key, "=", round));
    std::map<std::string, int> newest;
    int64_t last = -1;
    for (Offset at(0), end = Info(kLog).end; at < end;) {
      const auto read = Read(kLog, at.value(), 500);
      ASSERT_TRUE(read.ok()) << read.status();
      for (const SeenKeyed& seen : KeyedRecordsOf(read->batches, at)) {
        ASSERT_GT(seen.offset, last);
        last = seen.offset;
        newest[*seen.record.key] = std::stoi(*seen.record.value);
      }
      at = read->next_offset;
    }
    ASSERT_EQ(newest.size(), 20u);
    for (const auto& [key, value] : newest) ASSERT_EQ(value, round) << key;
  }
  stop = true;
  compactor.join();
  EXPECT_GT(Stats().passes, 1);
}

TEST_F(CompactionTest, ADamagedBatchStopsItsLogsCompactionAndNoOther) {
  OpenCompacted();
  ASSERT_TRUE(Create({LogId(2)}).ok());
  ASSERT_TRUE(store_->Configure(LogId(2), settings_).ok());
  Put("a=damaged");
  Put("a=2");
  Flip(SegmentPath(0), Find(SegmentPath(0), "damaged"));
  Compact();
  EXPECT_EQ(events_.Count("compaction_failed"), 1);
  EXPECT_EQ(Stats().passes_failed, 1);
  Compact();
  EXPECT_EQ(events_.Count("compaction_failed"), 1) << "it would come to the same";
  EXPECT_TRUE(Read(kLog, 1).ok());
}

}  // namespace
}  // namespace naru::testing
