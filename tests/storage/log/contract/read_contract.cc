// Reads by offset and by time.
#include "tests/storage/log/contract/store_contract.h"

namespace naru::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<int64_t> BaseOffsets(const absl::StatusOr<ReadResult>& read) {
  std::vector<int64_t> bases;
  if (read.ok()) {
    for (const StoredBatchView& batch : read->batches) bases.push_back(batch.base_offset.value());
  }
  return bases;
}

TEST_P(StoreContract, AReadStartsWithTheBatchThatHoldsTheOffset) {
  for (int i = 0; i < 4; ++i) AppendOk(kLog, 3);
  EXPECT_THAT(BaseOffsets(Read(kLog, 0)), ElementsAre(0, 3, 6, 9));
  EXPECT_THAT(BaseOffsets(Read(kLog, 2)), ElementsAre(0, 3, 6, 9));
  EXPECT_THAT(BaseOffsets(Read(kLog, 3)), ElementsAre(3, 6, 9));
  EXPECT_THAT(BaseOffsets(Read(kLog, 11)), ElementsAre(9));
}

TEST_P(StoreContract, AReadAtTheEndIsEmpty) {
  AppendOk(kLog, 3);
  const absl::StatusOr<ReadResult> read = Read(kLog, 3);
  ASSERT_THAT(read, IsOk());
  EXPECT_THAT(read->batches, IsEmpty());
  EXPECT_EQ(read->log_start, Offset(0));
  EXPECT_EQ(read->readable_end, Offset(3));
}

TEST_P(StoreContract, AReadOutsideTheLogSaysWhereTheLogIs) {
  for (int i = 0; i < 5; ++i) AppendOk(kLog, 2);
  ASSERT_THAT(MoveLogStart(kLog, 4), IsOk());
  for (const int64_t outside : {-1, 0, 3, 11, 1'000}) {
    const absl::StatusOr<ReadResult> read = Read(kLog, outside);
    ASSERT_THAT(read, FailsWith(Reason::kOffsetOutOfRange)) << outside;
    EXPECT_EQ(MetadataValue(read.status(), "log_start_offset"), "4");
    EXPECT_EQ(MetadataValue(read.status(), "high_watermark"), "10");
  }
  EXPECT_THAT(Read(kLog, 4), IsOk());
  EXPECT_THAT(Read(kLog, 10), IsOk());
}

TEST_P(StoreContract, TheEndOfAReadBoundsWhereBatchesBegin) {
  for (int i = 0; i < 4; ++i) AppendOk(kLog, 3);
  ReadRequest request;
  request.log = kLog;
  request.end = Offset(6);
  EXPECT_THAT(BaseOffsets(Read(request)), ElementsAre(0, 3));
  request.end = Offset(7);
  EXPECT_THAT(BaseOffsets(Read(request)), ElementsAre(0, 3, 6));
  request.from = Offset(4);
  request.end = Offset(5);
  EXPECT_THAT(BaseOffsets(Read(request)), ElementsAre(3));
}

TEST_P(StoreContract, AReadStaysBelowItsBytesButForOneBatch) {
  for (int i = 0; i < 4; ++i) ASSERT_THAT(Append(AppendOf(kLog, MakeLargeBatch("x", 1'000))), IsOk());
  ReadRequest request;
  request.log = kLog;
  request.bytes_max = 2'500;
  EXPECT_THAT(BaseOffsets(Read(request)), ElementsAre(0, 1));
  request.bytes_max = 1;
  EXPECT_THAT(BaseOffsets(Read(request)), ElementsAre(0)) << "the first comes whatever its size";
  request.bytes_max = 0;
  EXPECT_THAT(BaseOffsets(Read(request)), ElementsAre(0));
}

TEST_P(StoreContract, AFirstBatchThatIsTooLargeSaysItsSizeInsteadOfComing) {
  for (const size_t bytes : {1'000, 3'000, 1'000}) {
    ASSERT_THAT(Append(AppendOf(kLog, MakeLargeBatch("x", bytes))), IsOk());
  }
  ReadRequest request;
  request.log = kLog;
  request.first_bytes_max = 2'000;
  EXPECT_THAT(BaseOffsets(Read(request)), ElementsAre(0, 1, 2)) << "it bounds the first alone";
  request.from = Offset(1);
  const absl::StatusOr<ReadResult> too_large = Read(request);
  ASSERT_THAT(too_large, IsOk());
  EXPECT_THAT(too_large->batches, IsEmpty());
  EXPECT_EQ(too_large->readable_end, Offset(3));
  EXPECT_GE(too_large->first_batch_bytes, 3'000);
  EXPECT_LE(too_large->first_batch_bytes, 3'100);
  request.first_bytes_max = too_large->first_batch_bytes;
  const absl::StatusOr<ReadResult> read = Read(request);
  EXPECT_THAT(BaseOffsets(read), ElementsAre(1, 2));
  EXPECT_EQ(read->first_batch_bytes, 0);
  request.first_bytes_max = too_large->first_batch_bytes - 1;
  EXPECT_THAT(BaseOffsets(Read(request)), IsEmpty());
}

TEST_P(StoreContract, EveryOffsetOfALongLogCanBeReadFrom) {
  std::vector<Awaited<absl::StatusOr<Appended>>> appends(120);
  for (size_t i = 0; i < appends.size(); ++i) {
    store().Append(AppendOf(kLog, MakeBatchOf(1 + static_cast<int>(i % 4))), appends[i].Done());
  }
  for (auto& append : appends) ASSERT_THAT(append.Wait(), IsOk());
  const int64_t end = Info(kLog).end.value();
  ASSERT_EQ(end, 300);
  for (int64_t from = 0; from < end; ++from) {
    const absl::StatusOr<ReadResult> read = Read(kLog, from);
    ASSERT_THAT(read, IsOk());
    ASSERT_FALSE(read->batches.empty());
    EXPECT_LE(read->batches.front().base_offset, Offset(from));
    EXPECT_GT(read->batches.front().next_offset, Offset(from));
    for (size_t i = 1; i < read->batches.size(); ++i) {
      ASSERT_EQ(read->batches[i].base_offset, read->batches[i - 1].next_offset);
    }
    EXPECT_EQ(read->batches.back().next_offset, Offset(end));
  }
}

TEST_P(StoreContract, ReadingTakesNothingAway) {
  AppendOk(kLog, 5);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Records(kLog).size(), 5u);
}

TEST_P(StoreContract, TheFirstRecordAtOrAfterATimeIsFound) {
  ASSERT_THAT(Append(kLog, {{"a", 100}, {"b", 200}}), IsOk());
  ASSERT_THAT(Append(kLog, {{"c", 300}, {"d", 400}}), IsOk());
  EXPECT_EQ(FindByTime(kLog, 0), "0@100");
  EXPECT_EQ(FindByTime(kLog, 100), "0@100");
  EXPECT_EQ(FindByTime(kLog, 101), "1@200");
  EXPECT_EQ(FindByTime(kLog, 201), "2@300");
  EXPECT_EQ(FindByTime(kLog, 400), "3@400");
  EXPECT_EQ(FindByTime(kLog, 401), "none");
  EXPECT_EQ(FindByTime(kOther, 0), "none");
}

TEST_P(StoreContract, TimestampsOutOfOrderAreFoundByOffsetFirst) {
  for (const int64_t timestamp : {500, 100, 900, 300, 700, 200, 950}) {
    ASSERT_THAT(Append(kLog, {{"x", timestamp}}), IsOk());
  }
  EXPECT_EQ(FindByTime(kLog, 50), "0@500");
  EXPECT_EQ(FindByTime(kLog, 501), "2@900");
  EXPECT_EQ(FindByTime(kLog, 901), "6@950");
  EXPECT_EQ(FindByTime(kLog, 951), "none");
}

TEST_P(StoreContract, RecordsWithoutATimestampAreFoundByTheirAppendTime) {
  clock().SetMs(10'000);
  ASSERT_THAT(Append(kLog, {"a"}), IsOk());
  clock().SetMs(20'000);
  ASSERT_THAT(Append(kLog, {{"b", 5}, {"c"}}), IsOk());
  EXPECT_EQ(FindByTime(kLog, 10'000), "0@10000");
  EXPECT_EQ(FindByTime(kLog, 10'001), "2@20000");
  EXPECT_EQ(FindByTime(kLog, 20'001), "none");
}

TEST_P(StoreContract, StampedLogsAreSearchedByAppendTimeAlone) {
  ASSERT_THAT(store().Configure(kLog, {.append_time_stamped = true}), IsOk());
  clock().SetMs(10'000);
  ASSERT_THAT(Append(kLog, {{"a", 90'000}}), IsOk());
  clock().SetMs(20'000);
  ASSERT_THAT(Append(kLog, {{"b", 1}}), IsOk());
  EXPECT_EQ(FindByTime(kLog, 15'000), "1@20000");
  EXPECT_EQ(FindByTime(kLog, 30'000), "none");
}

TEST_P(StoreContract, ATimeBeforeAMovedStartFindsTheStart) {
  ASSERT_THAT(Append(kLog, {{"a", 900}, {"b", 200}, {"c", 300}}), IsOk());
  ASSERT_THAT(Append(kLog, {{"d", 400}}), IsOk());
  ASSERT_THAT(MoveLogStart(kLog, 1), IsOk());
  EXPECT_EQ(FindByTime(kLog, 0), "1@200") << "also when the start cuts a batch";
  EXPECT_EQ(FindByTime(kLog, 350), "3@400") << "what lies below the start does not count";
  EXPECT_EQ(FindByTime(kLog, 500), "none");
  ASSERT_THAT(MoveLogStart(kLog, 4), IsOk());
  EXPECT_EQ(FindByTime(kLog, 0), "none");
}

TEST_P(StoreContract, ATruncatedHeadIsNotFoundByTime) {
  ASSERT_THAT(Append(kLog, {{"a", 100}}), IsOk());
  ASSERT_THAT(Append(kLog, {{"b", 9'000}}), IsOk());
  ASSERT_THAT(Append(kLog, {{"c", 200}}), IsOk());
  ASSERT_THAT(Truncate(kLog, 1), IsOk());
  EXPECT_EQ(FindByTime(kLog, 101), "none");
  ASSERT_THAT(Append(kLog, {{"d", 300}}), IsOk());
  EXPECT_EQ(FindByTime(kLog, 101), "1@300") << "the high timestamp that went must not hide it";
  EXPECT_EQ(FindByTime(kLog, 301), "none");
}

TEST_P(StoreContract, ManyBatchesAreSearchedByTime) {
  std::vector<Awaited<absl::StatusOr<Appended>>> appends(400);
  for (size_t i = 0; i < appends.size(); ++i) {
    // Rises by ten, every seventh far behind.
    const int64_t timestamp = 1'000 + static_cast<int64_t>(i) * 10 - (i % 7 == 3 ? 900 : 0);
    store().Append(AppendOf(kLog, MakeBatch({{"x", timestamp}})), appends[i].Done());
  }
  for (auto& append : appends) ASSERT_THAT(append.Wait(), IsOk());
  for (size_t i = 0; i < appends.size(); i += 5) {
    const int64_t asked = 1'000 + static_cast<int64_t>(i) * 10;
    size_t first = i;
    while (first % 7 == 3) ++first;
    const std::string expected = std::to_string(first) + "@" + std::to_string(1'000 + first * 10);
    EXPECT_EQ(FindByTime(kLog, asked), first < appends.size() ? expected : "none");
  }
}

TEST_P(HeldSyncsContract, OnlyReadableRecordsAreFoundByTime) {
  under_test().HoldDurability(true);
  Awaited<absl::StatusOr<Appended>> append;
  store().Append(AppendOf(kLog, MakeBatch({{"x", 500}})), append.Done());
  ASSERT_THAT(store().Configure(kOther, {.durability = Durability::kBackground}), IsOk());
  ASSERT_THAT(Append(kOther, {{"y", 500}}), IsOk());
  EXPECT_EQ(FindByTime(kLog, 0), "none");
  EXPECT_EQ(FindByTime(kOther, 0), "0@500");
  under_test().HoldDurability(false);
  EXPECT_THAT(append.Wait(), IsOk());
  EXPECT_EQ(FindByTime(kLog, 0), "0@500");
}

}  // namespace
}  // namespace naru::testing
