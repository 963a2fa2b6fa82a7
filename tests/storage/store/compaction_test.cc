// What compaction by key leaves, as readers of the store see it.
#include <map>

#include "tests/storage/store/compaction_fixture.h"

namespace naru::testing {
namespace {

constexpr int64_t kDay = 86'400'000;

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
  const int64_t before = Stats().read_bytes;
  Compact();
  EXPECT_LT(Stats().read_bytes - before, 3 << 20) << "also if the store began a round by itself meanwhile";
  for (int i = 0; i < 40; ++i) Compact();
  const auto read = Read(kLog, 0);
  ASSERT_TRUE(read.ok());
  std::vector<int64_t> offsets;
  for (const SeenKeyed& seen : KeyedRecordsOf(read->batches)) offsets.push_back(seen.offset);
  EXPECT_THAT(offsets, ::testing::ElementsAre(57, 58, 59));
}

// Two plans in one round, the second made of what the first was about to replace, took runs out of the index.
TEST_F(CompactionTest, ALogThatIsDueAgainWhenItsPassEndsLosesNothing) {
  options_.maintenance_interval_ms = 1'000;
  options_.compaction_bytes_per_second = int64_t{1} << 20;
  OpenCompacted();
  const std::string filler(20'000, 'x');
  std::map<std::string, std::string> newest;
  for (int round = 0; round < 60; ++round) {
    // Now and then more than a round can take.
    const int batches = round % 10 == 0 ? 100 + round : 1;
    for (int i = 0; i < batches; ++i) {
      const std::string key = absl::StrCat("k", (round + i * i) % 23);
      newest[key] = absl::StrCat(round, "-", i, filler);
      Put(absl::StrCat(key, "=", newest[key]));
    }
    Compact();
  }
  std::map<std::string, std::string> seen;
  for (const absl::string_view text : absl::StrSplit(Records(), ' ')) {
    const std::vector<std::string> parts = absl::StrSplit(text, absl::ByAnyChar(":="));
    ASSERT_EQ(parts.size(), 3u) << text.substr(0, 200);
    seen[parts[1]] = parts[2];
  }
  EXPECT_TRUE(seen == newest);
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

}  // namespace
}  // namespace naru::testing
