// Appends: offsets, expectations, fences.
#include "tests/storage/log/contract/store_contract.h"

namespace naru::testing {
namespace {

using ::testing::ElementsAre;

TEST_P(StoreContract, AppendsTakeConsecutiveOffsets) {
  clock().SetMs(1'000'000);
  const absl::StatusOr<Appended> first = Append(kLog, {"a", "b", "c"});
  ASSERT_THAT(first, IsOk());
  EXPECT_EQ(first->base_offset, Offset(0));
  EXPECT_EQ(first->next_offset, Offset(3));
  EXPECT_EQ(first->append_time_ms, 1'000'000);
  EXPECT_EQ(first->log_start, Offset(0));
  EXPECT_FALSE(first->duplicate);
  const absl::StatusOr<Appended> second = Append(kLog, {"d"});
  ASSERT_THAT(second, IsOk());
  EXPECT_EQ(second->base_offset, Offset(3));
  EXPECT_EQ(second->next_offset, Offset(4));
  EXPECT_THAT(Records(kLog),
              ElementsAre(SeenRecord{0, "a"}, SeenRecord{1, "b"}, SeenRecord{2, "c"}, SeenRecord{3, "d"}));
}

TEST_P(StoreContract, EveryLogHasItsOwnOffsets) {
  EXPECT_EQ(AppendOk(kLog, 2), 0);
  EXPECT_EQ(AppendOk(kOther, 3), 0);
  EXPECT_EQ(AppendOk(kLog, 2), 2);
  EXPECT_EQ(AppendOk(kOther, 1), 3);
}

TEST_P(StoreContract, AnAckedAppendIsDurableAndReadable) {
  AppendOk(kLog, 4);
  const LogInfo info = Info(kLog);
  EXPECT_EQ(info.end, Offset(4));
  EXPECT_EQ(info.durable_end, Offset(4));
  EXPECT_EQ(info.readable_end, Offset(4));
}

TEST_P(HeldSyncsContract, AnAppendIsNotAckedBeforeItIsDurable) {
  under_test().HoldDurability(true);
  Awaited<absl::StatusOr<Appended>> append;
  store().Append(AppendOf(kLog, MakeBatchOf(2)), append.Done());
  Awaited<absl::StatusOr<Appended>> in_background;
  ASSERT_THAT(store().Configure(kOther, {.durability = Durability::kBackground}), IsOk());
  store().Append(AppendOf(kOther, MakeBatchOf(1)), in_background.Done());
  EXPECT_THAT(in_background.Wait(),
              IsOk());  // behind the first in the store's order, so the first is written
  EXPECT_FALSE(append.done());
  EXPECT_EQ(Info(kLog).durable_end, Offset(0));
  EXPECT_EQ(Info(kLog).readable_end, Offset(0));
  under_test().HoldDurability(false);
  EXPECT_THAT(append.Wait(), IsOk());
  EXPECT_EQ(Info(kLog).durable_end, Offset(2));
}

TEST_P(StoreContract, ABackgroundLogIsReadableBeforeItIsDurable) {
  ASSERT_THAT(store().Configure(kLog, {.durability = Durability::kBackground}), IsOk());
  under_test().HoldDurability(true);
  ASSERT_THAT(Append(kLog, {"a", "b"}), IsOk());
  const LogInfo info = Info(kLog);
  EXPECT_EQ(info.end, Offset(2));
  EXPECT_EQ(info.durable_end, Offset(0));
  EXPECT_EQ(info.readable_end, Offset(2));
  EXPECT_THAT(Records(kLog), ElementsAre(SeenRecord{0, "a"}, SeenRecord{1, "b"}));
}

TEST_P(HeldSyncsContract, AReadIncludesWhatIsNotDurableOnlyWhenAsked) {
  AppendOk(kLog, 1);
  under_test().HoldDurability(true);
  Awaited<absl::StatusOr<Appended>> append;
  store().Append(AppendOf(kLog, MakeBatchOf(2)), append.Done());
  ASSERT_THAT(store().Configure(kOther, {.durability = Durability::kBackground}), IsOk());
  ASSERT_THAT(Append(kOther, {"written after it"}), IsOk());

  ReadRequest request;
  request.log = kLog;
  absl::StatusOr<ReadResult> read = Read(request);
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(RecordsOf(read->batches).size(), 1u);
  EXPECT_EQ(read->readable_end, Offset(1));
  request.from = Offset(2);
  EXPECT_THAT(Read(request), FailsWith(Reason::kOffsetOutOfRange));

  request.include_undurable = true;
  for (request.from = Offset(0); request.from < Offset(3);) {
    read = Read(request);
    ASSERT_THAT(read, IsOk());
    ASSERT_FALSE(read->batches.empty());
    EXPECT_EQ(read->readable_end, Offset(1));
    request.from = read->batches.back().next_offset;
  }
  request.from = Offset(3);
  read = Read(request);
  ASSERT_THAT(read, IsOk());
  EXPECT_TRUE(read->batches.empty());
  request.from = Offset(4);
  EXPECT_THAT(Read(request), FailsWith(Reason::kOffsetOutOfRange));
  under_test().HoldDurability(false);
  EXPECT_THAT(append.Wait(), IsOk());
}

TEST_P(StoreContract, PipelinedAppendsKeepTheOrderOfTheCalls) {
  std::vector<Awaited<absl::StatusOr<Appended>>> appends(300);
  for (size_t i = 0; i < appends.size(); ++i) {
    store().Append(AppendOf(i % 3 == 0 ? kOther : kLog, MakeBatch({TestRecord(std::to_string(i))})),
                   appends[i].Done());
  }
  for (auto& append : appends) ASSERT_THAT(append.Wait(), IsOk());
  int64_t next = -1;
  for (const SeenRecord& seen : Records(kLog)) {
    EXPECT_GT(std::stoll(seen.value), next);
    next = std::stoll(seen.value);
  }
  EXPECT_EQ(Records(kLog).size() + Records(kOther).size(), appends.size());
}

TEST_P(StoreContract, ExpectedOffsetMustBeTheEnd) {
  AppendOk(kLog, 3);
  AppendRequest request = AppendOf(kLog, MakeBatchOf(1));
  for (const int64_t wrong : {0, 2, 4}) {
    request.expected_offset = Offset(wrong);
    const absl::StatusOr<Appended> refused = Append(request);
    ASSERT_THAT(refused, FailsWith(Reason::kExpectedOffsetMismatch));
    EXPECT_EQ(MetadataValue(refused.status(), "end_offset"), "3");
  }
  request.expected_offset = Offset(3);
  EXPECT_THAT(Append(request), IsOk());
  EXPECT_THAT(Append(request), FailsWith(Reason::kExpectedOffsetMismatch));
  EXPECT_EQ(Info(kLog).end, Offset(4)) << "a failed append takes no offsets";
}

TEST_P(StoreContract, OfAppendsThatExpectTheSameOffsetOneWins) {
  std::vector<Awaited<absl::StatusOr<Appended>>> appends(10);
  for (auto& append : appends) {
    AppendRequest request = AppendOf(kLog, MakeBatchOf(1));
    request.expected_offset = Offset(0);
    store().Append(request, append.Done());
  }
  EXPECT_THAT(appends[0].Wait(), IsOk()) << "in the order of the calls";
  for (size_t i = 1; i < appends.size(); ++i) {
    EXPECT_THAT(appends[i].Wait(), FailsWith(Reason::kExpectedOffsetMismatch));
  }
}

TEST_P(StoreContract, AppendsUnderAnotherLeaderEpochAreRefused) {
  ASSERT_THAT(BeginEpoch(kLog, 4), IsOk());
  AppendRequest request = AppendOf(kLog, MakeBatchOf(1));
  for (const int32_t wrong : {3, 5}) {
    request.leader_epoch = LeaderEpoch(wrong);
    const absl::StatusOr<Appended> refused = Append(request);
    ASSERT_THAT(refused, FailsWith(Reason::kStaleLeaderEpoch));
    EXPECT_EQ(MetadataValue(refused.status(), "leader_epoch"), "4");
  }
  request.leader_epoch = LeaderEpoch(4);
  EXPECT_THAT(Append(request), IsOk());
  EXPECT_EQ(Batches(kLog).at(0).leader_epoch, LeaderEpoch(4));
}

TEST_P(StoreContract, AStoredBatchCarriesTheBrokersFacts) {
  clock().SetMs(5'000);
  ASSERT_THAT(BeginEpoch(kLog, 2), IsOk());
  const TestBatch batch = MakeBatch({{"a", 7'000}, {"b", 6'000}});
  ASSERT_THAT(Append(AppendOf(kLog, batch)), IsOk());
  const std::vector<StoredBatchView> batches = Batches(kLog);
  ASSERT_EQ(batches.size(), 1u);
  EXPECT_EQ(batches[0].base_offset, Offset(0));
  EXPECT_EQ(batches[0].next_offset, Offset(2));
  EXPECT_EQ(batches[0].leader_epoch, LeaderEpoch(2));
  EXPECT_EQ(batches[0].append_time_ms, 5'000);
  EXPECT_EQ(batches[0].max_timestamp_ms, 7'000);
  EXPECT_EQ(batches[0].crc32c, batch.info.crc32c);
  EXPECT_EQ(batches[0].record_count, 2u);
  EXPECT_FALSE(batches[0].append_time_stamped);
  EXPECT_EQ(batches[0].bytes, batch.bytes) << "the client's bytes, verbatim";
}

TEST_P(StoreContract, TheMaximalTimestampHasTheAppendTimeFilledIn) {
  clock().SetMs(5'000);
  ASSERT_THAT(Append(kLog, {{"a", 4'000}, {"b"}}), IsOk());
  ASSERT_THAT(Append(kLog, {{"a", 9'000}, {"b"}}), IsOk());
  EXPECT_EQ(Batches(kLog).at(0).max_timestamp_ms, 5'000);
  EXPECT_EQ(Batches(kLog).at(1).max_timestamp_ms, 9'000);
}

TEST_P(StoreContract, ALogThatStampsAppendTimesMarksItsBatchesFromThenOn) {
  clock().SetMs(5'000);
  ASSERT_THAT(Append(kLog, {{"a", 9'000}}), IsOk());
  ASSERT_THAT(store().Configure(kLog, {.append_time_stamped = true}), IsOk());
  ASSERT_THAT(Append(kLog, {{"b", 9'000}}), IsOk());
  const std::vector<StoredBatchView> batches = Batches(kLog);
  ASSERT_EQ(batches.size(), 2u);
  EXPECT_FALSE(batches[0].append_time_stamped);
  EXPECT_TRUE(batches[1].append_time_stamped);
  EXPECT_EQ(batches[1].max_timestamp_ms, 5'000);
}

TEST_P(StoreContract, InfoCountsTheBytesAndKnowsTheLastAppendTime) {
  int64_t bytes = 0;
  for (int64_t i = 1; i <= 5; ++i) {
    clock().SetMs(i * 1'000);
    const TestBatch batch = MakeLargeBatch("x", static_cast<size_t>(i) * 1'000);
    bytes += batch.info.size_bytes;
    ASSERT_THAT(Append(AppendOf(kLog, batch)), IsOk());
    EXPECT_EQ(Info(kLog).size_bytes, bytes);
    EXPECT_EQ(Info(kLog).last_append_time_ms, i * 1'000);
  }
  EXPECT_EQ(Info(kOther).size_bytes, 0);
}

TEST_P(StoreContract, AFenceStopsEveryLaterAppendOfItsPipelineAfterAFailure) {
  const auto fence = std::make_shared<AppendFence>();
  std::vector<Awaited<absl::StatusOr<Appended>>> appends(6);
  for (size_t i = 0; i < appends.size(); ++i) {
    AppendRequest request = AppendOf(kLog, MakeBatchOf(1));
    request.fence = fence;
    request.fence_order = static_cast<int64_t>(i);
    if (i == 2) request.expected_offset = Offset(99);
    store().Append(request, appends[i].Done());
  }
  EXPECT_THAT(appends[0].Wait(), IsOk());
  EXPECT_THAT(appends[1].Wait(), IsOk());
  EXPECT_THAT(appends[2].Wait(), FailsWith(Reason::kExpectedOffsetMismatch));
  for (size_t i = 3; i < appends.size(); ++i) {
    EXPECT_THAT(appends[i].Wait(), FailsWith(Reason::kStreamItemSkipped));
  }
  EXPECT_TRUE(fence->Blocks(3));
  EXPECT_FALSE(fence->Blocks(2)) << "a retry of the one that failed is not held up by itself";
  EXPECT_EQ(AppendOk(kLog), 2) << "others are not concerned";
}

TEST_P(StoreContract, AFailureThatIsNoticedAtOnceBlocksTheFenceToo) {
  const auto fence = std::make_shared<AppendFence>();
  AppendRequest request = AppendOf(kUnknown, MakeBatchOf(1));
  request.fence = fence;
  request.fence_order = 5;
  Awaited<absl::StatusOr<Appended>> append;
  auto done = append.Done();
  store().Append(request, [&](absl::StatusOr<Appended> result) {
    EXPECT_TRUE(fence->Blocks(6)) << "blocked before the completion runs";
    done(std::move(result));
  });
  EXPECT_THAT(append.Wait(), FailsWith(Reason::kPartitionNotFound));
}

TEST_P(StoreContract, ABatchOfAMegabyteComesBackWhole) {
  const TestBatch batch = MakeLargeBatch("large", 1'000'000);
  ASSERT_THAT(Append(AppendOf(kLog, batch)), IsOk());
  ASSERT_THAT(Append(kLog, {"small"}), IsOk());
  EXPECT_EQ(Batches(kLog).at(0).bytes, batch.bytes);
  EXPECT_EQ(Records(kLog).back(), (SeenRecord{1, "small"}));
}

}  // namespace
}  // namespace naru::testing
