// Appends as a replica, and leader epochs.
#include "absl/strings/str_cat.h"
#include "tests/storage/log/contract/store_contract.h"

namespace naru::testing {
namespace {

ReplicaAppendRequest ReplicaOf(LogId log, std::vector<StoredBatchView> batches) {
  ReplicaAppendRequest request;
  request.log = log;
  request.batches = std::move(batches);
  return request;
}

StoredBatchView View(int64_t base, int count, int32_t epoch, int64_t append_time_ms = 1'000) {
  return ViewOf(MakeBatchOf(count), Offset(base), LeaderEpoch(epoch), append_time_ms);
}

TEST_P(StoreContract, ReplicasTakeBatchesAsTheyAre) {
  clock().SetMs(9'000);
  const std::vector<StoredBatchView> sent = {View(0, 3, 1, 111), View(3, 2, 4, 222)};
  const absl::StatusOr<Appended> appended = AppendAsReplica(ReplicaOf(kLog, sent));
  ASSERT_THAT(appended, IsOk());
  EXPECT_EQ(appended->base_offset, Offset(0));
  EXPECT_EQ(appended->next_offset, Offset(5));
  const std::vector<StoredBatchView> read = Batches(kLog);
  ASSERT_EQ(read.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(read[i].base_offset, sent[i].base_offset);
    EXPECT_EQ(read[i].next_offset, sent[i].next_offset);
    EXPECT_EQ(read[i].leader_epoch, sent[i].leader_epoch);
    EXPECT_EQ(read[i].append_time_ms, sent[i].append_time_ms);
    EXPECT_EQ(read[i].max_timestamp_ms, sent[i].max_timestamp_ms);
    EXPECT_EQ(read[i].bytes, sent[i].bytes);
  }
  EXPECT_EQ(Info(kLog).leader_epoch, LeaderEpoch(4));
  EXPECT_EQ(Info(kLog).last_append_time_ms, 222);
}

TEST_P(StoreContract, ReplicaAppendsWithAGapOrAnOverlapAreRefusedWhole) {
  ASSERT_THAT(AppendAsReplica(ReplicaOf(kLog, {View(0, 3, 1)})), IsOk());
  EXPECT_THAT(AppendAsReplica(ReplicaOf(kLog, {View(4, 1, 1)})), FailsWith(Reason::kInvalidField));
  EXPECT_THAT(AppendAsReplica(ReplicaOf(kLog, {View(2, 2, 1)})), FailsWith(Reason::kInvalidField));
  EXPECT_THAT(AppendAsReplica(ReplicaOf(kLog, {View(3, 1, 1), View(5, 1, 1)})),
              FailsWith(Reason::kInvalidField));
  EXPECT_THAT(AppendAsReplica(ReplicaOf(kLog, {View(3, 2, 1), View(4, 1, 1)})),
              FailsWith(Reason::kInvalidField));
  EXPECT_EQ(Info(kLog).end, Offset(3));
}

TEST_P(StoreContract, ReplicaAppendsWithFallingEpochsAreRefused) {
  ASSERT_THAT(AppendAsReplica(ReplicaOf(kLog, {View(0, 1, 5)})), IsOk());
  EXPECT_THAT(AppendAsReplica(ReplicaOf(kLog, {View(1, 1, 4)})), FailsWith(Reason::kInvalidField));
  EXPECT_THAT(AppendAsReplica(ReplicaOf(kLog, {View(1, 1, 7), View(2, 1, 6)})),
              FailsWith(Reason::kInvalidField));
  EXPECT_THAT(AppendAsReplica(ReplicaOf(kLog, {View(1, 1, 5), View(2, 1, 6)})), IsOk());
}

TEST_P(StoreContract, BatchesOfAnEpochBelowTheOneThatWasBegunAreTaken) {
  // A follower under a new leader still gets what earlier leaders appended.
  ASSERT_THAT(BeginEpoch(kLog, 9), IsOk());
  ASSERT_THAT(AppendAsReplica(ReplicaOf(kLog, {View(0, 2, 3), View(2, 1, 5)})), IsOk());
  EXPECT_EQ(Info(kLog).leader_epoch, LeaderEpoch(9));
  EXPECT_EQ(EpochEndOf(kLog, 4), "3:2");
  EXPECT_EQ(EpochEndOf(kLog, 9), "5:3");
}

TEST_P(StoreContract, AReplicaBatchWhoseBytesFailItsChecksumIsRefusedAndLeavesNoTrace) {
  std::vector<StoredBatchView> batches = {View(0, 1, 1), View(1, 2, 1)};
  batches[1].crc32c ^= 1;
  EXPECT_THAT(AppendAsReplica(ReplicaOf(kLog, batches)), FailsWith(Reason::kInvalidField));
  EXPECT_EQ(Info(kLog).end, Offset(0));
  AppendOk(kLog, 2);
  AppendOk(kLog, 1);
  under_test().Reopen();
  EXPECT_EQ(Info(kLog).end, Offset(3));
  EXPECT_EQ(Records(kLog).size(), 3u);
}

TEST_P(StoreContract, AReplicaBatchWithMoreOrFewerOffsetsThanRecordsIsRefused) {
  for (const int64_t next : {int64_t{1}, int64_t{3}, int64_t{2} + (int64_t{1} << 32)}) {
    StoredBatchView batch = View(0, 2, 1);
    batch.next_offset = Offset(next);
    EXPECT_THAT(AppendAsReplica(ReplicaOf(kLog, {batch})), FailsWith(Reason::kInvalidField)) << next;
  }
  EXPECT_EQ(Info(kLog).end, Offset(0));
}

TEST_P(StoreContract, AnEmptyReplicaAppendIsRefused) {
  EXPECT_THAT(AppendAsReplica(ReplicaOf(kLog, {})), FailsWith(Reason::kInvalidField));
}

TEST_P(StoreContract, ReplicasFollowProducerStampsUnchecked) {
  clock().SetMs(2'000);
  ReplicaAppendRequest request = ReplicaOf(kLog, {View(0, 2, 1), View(2, 1, 1), View(3, 4, 1)});
  request.batches[0].producer = ProducerStamp{7, 2, 40};
  request.batches[2].producer = ProducerStamp{7, 2, 42};
  ASSERT_THAT(AppendAsReplica(request), IsOk());
  EXPECT_EQ(Producers(kLog), "7/2 next:46 [40,42)@0 [42,46)@3");
  EXPECT_THAT(AppendStamped(kLog, {7, 2, 46}), IsOk());
  EXPECT_THAT(AppendStamped(kLog, {7, 1, 0}), FailsWith(Reason::kProducerFenced));
}

TEST_P(StoreContract, EpochsMustRise) {
  ASSERT_THAT(BeginEpoch(kLog, 3), IsOk());
  EXPECT_EQ(Info(kLog).leader_epoch, LeaderEpoch(3));
  EXPECT_THAT(BeginEpoch(kLog, 3), IsOk()) << "the current one again is fine";
  const absl::Status stale = BeginEpoch(kLog, 2);
  ASSERT_THAT(stale, FailsWith(Reason::kStaleLeaderEpoch));
  EXPECT_EQ(MetadataValue(stale, "leader_epoch"), "3");
  EXPECT_THAT(BeginEpoch(kLog, 10), IsOk());
  EXPECT_EQ(Info(kLog).leader_epoch, LeaderEpoch(10));
}

TEST_P(StoreContract, AnEpochEndsWhereTheNextOneBegins) {
  ASSERT_THAT(BeginEpoch(kLog, 1), IsOk());
  AppendOk(kLog, 4);
  ASSERT_THAT(BeginEpoch(kLog, 3), IsOk());
  AppendOk(kLog, 2);
  ASSERT_THAT(BeginEpoch(kLog, 6), IsOk());
  AppendOk(kLog, 1);
  EXPECT_EQ(EpochEndOf(kLog, 0), "-1:0");
  EXPECT_EQ(EpochEndOf(kLog, 1), "1:4");
  EXPECT_EQ(EpochEndOf(kLog, 2), "1:4") << "the largest epoch at or below the one asked for";
  EXPECT_EQ(EpochEndOf(kLog, 3), "3:6");
  EXPECT_EQ(EpochEndOf(kLog, 5), "3:6");
  EXPECT_EQ(EpochEndOf(kLog, 6), "6:7");
  EXPECT_EQ(EpochEndOf(kLog, 99), "6:7");
  EXPECT_EQ(EpochEndOf(kOther, 1), "-1:0");
}

TEST_P(StoreContract, EpochsWithoutAppendsLeaveNoTrace) {
  ASSERT_THAT(BeginEpoch(kLog, 1), IsOk());
  AppendOk(kLog, 2);
  ASSERT_THAT(BeginEpoch(kLog, 2), IsOk());
  ASSERT_THAT(BeginEpoch(kLog, 3), IsOk());
  EXPECT_EQ(EpochEndOf(kLog, 3), "1:2");
  AppendOk(kLog, 2);
  EXPECT_EQ(EpochEndOf(kLog, 1), "1:2");
  EXPECT_EQ(EpochEndOf(kLog, 2), "1:2");
  EXPECT_EQ(EpochEndOf(kLog, 3), "3:4");
}

TEST_P(StoreContract, EpochsBelowTheLogStartAreForgottenButForTheNewest) {
  for (const int32_t epoch : {1, 2, 3}) {
    ASSERT_THAT(BeginEpoch(kLog, epoch), IsOk());
    AppendOk(kLog, 2);
  }
  ASSERT_THAT(MoveLogStart(kLog, 3), IsOk());
  EXPECT_EQ(EpochEndOf(kLog, 1), "-1:3");
  EXPECT_EQ(EpochEndOf(kLog, 2), "2:4");
  EXPECT_EQ(EpochEndOf(kLog, 3), "3:6");
  ASSERT_THAT(MoveLogStart(kLog, 6), IsOk());
  EXPECT_EQ(EpochEndOf(kLog, 2), "-1:6");
  EXPECT_EQ(EpochEndOf(kLog, 3), "3:6");
  ASSERT_THAT(BeginEpoch(kLog, 5), IsOk());
  AppendOk(kLog, 1);
  EXPECT_EQ(EpochEndOf(kLog, 4), "-1:6");
  EXPECT_EQ(EpochEndOf(kLog, 5), "5:7");
}

// What compaction left of a batch of `offsets`: one record for each delta.
StoredBatchView ThinnedView(int64_t base, int64_t offsets, std::vector<uint32_t> deltas, int32_t epoch = 1) {
  StoredBatchView view = View(base, static_cast<int>(deltas.size()), epoch);
  view.next_offset = Offset(base + offsets);
  view.offset_deltas = std::move(deltas);
  return view;
}

StoredBatchView EmptyView(int64_t base, int64_t next) {
  StoredBatchView view;
  view.base_offset = Offset(base);
  view.next_offset = Offset(next);
  view.leader_epoch = LeaderEpoch(1);
  return view;
}

std::string OffsetsOf(const std::vector<SeenRecord>& records) {
  std::string text;
  for (const SeenRecord& record : records) absl::StrAppend(&text, text.empty() ? "" : " ", record.offset);
  return text;
}

TEST_P(StoreContract, AReplicaTakesWhatCompactionLeft) {
  ReplicaAppendRequest request =
      ReplicaOf(kLog, {ThinnedView(0, 10, {2, 7}), View(10, 2, 1), ThinnedView(40, 5, {4})});
  request.gaps = true;
  ASSERT_THAT(AppendAsReplica(request), IsOk());
  EXPECT_EQ(Info(kLog).end, Offset(45));
  for (const bool reopened : {false, true}) {
    if (reopened) under_test().Reopen();
    EXPECT_EQ(OffsetsOf(Records(kLog)), "2 7 10 11 44") << reopened;
    const std::vector<StoredBatchView> read = Batches(kLog);
    ASSERT_EQ(read.size(), 3u);
    EXPECT_EQ(read[0].next_offset, Offset(10));
    EXPECT_THAT(read[0].offset_deltas, ::testing::ElementsAre(2, 7));
    EXPECT_EQ(read[2].base_offset, Offset(40));
    EXPECT_EQ(read[2].crc32c, request.batches[2].crc32c);
  }
}

TEST_P(StoreContract, AReadFromAnyOffsetOfACompactedLogBeginsAtTheNextRecord) {
  ReplicaAppendRequest request =
      ReplicaOf(kLog, {ThinnedView(5, 5, {1, 3}), View(20, 1, 1), EmptyView(21, 30)});
  request.gaps = true;
  ASSERT_THAT(AppendAsReplica(request), IsOk());
  for (int64_t from = 0; from <= 30; ++from) {
    const absl::StatusOr<ReadResult> read = Read(kLog, from);
    ASSERT_THAT(read, IsOk()) << from;
    EXPECT_EQ(read->next_offset, Offset(30)) << from;
    std::string expected;
    for (const int64_t offset : {6, 8, 20}) {
      if (offset >= from) absl::StrAppend(&expected, expected.empty() ? "" : " ", offset);
    }
    EXPECT_EQ(OffsetsOf(RecordsOf(read->batches, Offset(from))), expected) << from;
    EXPECT_EQ(read->batches.empty(), from > 20) << from;
  }
  AppendOk(kLog, 1);
  EXPECT_EQ(OffsetsOf(RecordsOf(Read(kLog, 25)->batches)), "30");
}

TEST_P(StoreContract, ATruncationTakesAnEmptyStretchThatItCutsWhole) {
  ReplicaAppendRequest request = ReplicaOf(kLog, {View(0, 2, 1), View(10, 2, 1)});
  request.gaps = true;
  ASSERT_THAT(AppendAsReplica(request), IsOk());
  ASSERT_THAT(Truncate(kLog, 11), IsOk());
  EXPECT_EQ(Info(kLog).end, Offset(10));
  ASSERT_THAT(Truncate(kLog, 6), IsOk());
  EXPECT_EQ(Info(kLog).end, Offset(2));
  EXPECT_EQ(AppendOk(kLog, 1), 2);
  EXPECT_EQ(OffsetsOf(Records(kLog)), "0 1 2");
}

TEST_P(StoreContract, OffsetsThatDoNotFitAReplicasBatchAreRefused) {
  StoredBatchView few = ThinnedView(0, 10, {2, 7});
  few.offset_deltas.pop_back();
  StoredBatchView empty_with_records = EmptyView(0, 3);
  empty_with_records.record_count = 1;
  for (const StoredBatchView& bad : {ThinnedView(0, 10, {7, 2}), ThinnedView(0, 10, {2, 2}),
                                     ThinnedView(0, 10, {2, 10}), few, empty_with_records}) {
    ReplicaAppendRequest request = ReplicaOf(kLog, {bad});
    request.gaps = true;
    EXPECT_THAT(AppendAsReplica(request), FailsWith(Reason::kInvalidField));
  }
  EXPECT_THAT(AppendAsReplica(ReplicaOf(kLog, {EmptyView(0, 3)})), FailsWith(Reason::kInvalidField))
      << "only where gaps were said to be there";
  EXPECT_EQ(Info(kLog).end, Offset(0));
}

// Everything of a log as another replica is given it.
ReplicaAppendRequest CopyOf(ReadResult read, LogId to) {
  return {.log = to, .batches = std::move(read.batches), .gaps = read.gaps};
}

TEST_P(StoreContract, WhoIsCopiedFromACompactedLogKnowsItsProducers) {
  ReplicaAppendRequest request =
      ReplicaOf(kLog, {ThinnedView(0, 10, {2, 7}), EmptyView(10, 14), View(14, 1, 1), EmptyView(20, 23)});
  request.batches[0].producer = ProducerStamp{7, 1, 0};
  request.batches[1].producer = ProducerStamp{8, 0, 5};
  request.batches[3].producer = ProducerStamp{7, 1, 10};
  request.gaps = true;
  ASSERT_THAT(AppendAsReplica(request), IsOk());
  const std::string known = "7/1 next:13 [0,10)@0 [10,13)@20; 8/0 next:9 [5,9)@10";
  EXPECT_EQ(Producers(kLog), known) << "as many sequences as offsets, whatever compaction took";
  for (const bool reopened : {false, true}) {
    if (reopened) under_test().Reopen();
    EXPECT_EQ(Producers(kLog), known);
    const LogId copy(reopened ? 91 : 90);
    ASSERT_THAT(Create({copy}), IsOk());
    const auto read =
        Read({.log = kLog, .from = Offset(0), .include_undurable = true, .include_emptied = true});
    ASSERT_THAT(read, IsOk());
    EXPECT_TRUE(read->gaps);
    ASSERT_THAT(AppendAsReplica(CopyOf(*read, copy)), IsOk());
    EXPECT_EQ(Producers(copy), known);
    EXPECT_EQ(Info(copy).end, Offset(23));
    EXPECT_EQ(OffsetsOf(Records(copy)), "2 7 14") << "who reads records is given no empty batch";
  }
}

TEST_P(StoreContract, AGapThatARefusedAppendLeftIsNoGapOfCompaction) {
  ReplicaAppendRequest request = ReplicaOf(kLog, {View(10, 2, 1)});
  request.gaps = true;
  request.from = Offset(5);  // what was read before it was refused
  EXPECT_THAT(AppendAsReplica(request), FailsWith(Reason::kInvalidField));
  EXPECT_EQ(Info(kLog).end, Offset(0));
  request.from = Offset(0);
  ASSERT_THAT(AppendAsReplica(request), IsOk());
  EXPECT_EQ(Info(kLog).end, Offset(12));
}

TEST_P(StoreContract, AReplicaIsGivenTheEmptyEndOfALog) {
  ReplicaAppendRequest request = ReplicaOf(kLog, {View(0, 2, 1), EmptyView(2, 5), EmptyView(5, 9)});
  request.gaps = true;
  ASSERT_THAT(AppendAsReplica(request), IsOk());
  for (const bool reopened : {false, true}) {
    if (reopened) under_test().Reopen();
    for (const int64_t from : {0, 2, 6}) {
      const auto read =
          Read({.log = kLog, .from = Offset(from), .include_undurable = true, .include_emptied = true});
      ASSERT_THAT(read, IsOk());
      EXPECT_EQ(read->next_offset, Offset(9));
      ASSERT_FALSE(read->batches.empty()) << from;
      EXPECT_EQ(read->batches.back().next_offset, Offset(9)) << from;
      EXPECT_TRUE(from < 6 || read->batches.back().base_offset == Offset(from))
          << "from where it has nothing yet";
      EXPECT_TRUE(read->gaps);
    }
  }
  AppendOk(kLog, 1);
  const auto read =
      Read({.log = kLog, .from = Offset(0), .include_undurable = true, .include_emptied = true});
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(read->batches.size(), 2u) << "where something follows, the gap says it";
  EXPECT_TRUE(read->gaps);
}

TEST_P(StoreContract, ALogThatWasNeverCompactedHasNoGaps) {
  AppendOk(kLog, 3);
  AppendOk(kLog, 2);
  const auto read =
      Read({.log = kLog, .from = Offset(1), .include_undurable = true, .include_emptied = true});
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(read->batches.size(), 2u);
  EXPECT_FALSE(read->gaps);
}

TEST_P(StoreContract, ATimeIsFoundBehindWhatCompactionLeftEmpty) {
  ReplicaAppendRequest request =
      ReplicaOf(kLog, {ThinnedView(3, 4, {2}), EmptyView(7, 9), View(9, 1, 1, 5'000)});
  request.gaps = true;
  ASSERT_THAT(AppendAsReplica(request), IsOk());
  EXPECT_EQ(FindByTime(kLog, 0), "5@1000");
  EXPECT_EQ(FindByTime(kLog, 1'001), "9@5000");
}

}  // namespace
}  // namespace naru::testing
