// Logs made, deleted, configured; the end of a store.
#include "tests/storage/log/contract/store_contract.h"

namespace naru::testing {
namespace {

using ::testing::ElementsAre;

TEST_P(StoreContract, NewLogIsEmpty) {
  const LogInfo info = Info(kLog);
  EXPECT_EQ(info.log_start, Offset(0));
  EXPECT_EQ(info.end, Offset(0));
  EXPECT_EQ(info.durable_end, Offset(0));
  EXPECT_EQ(info.readable_end, Offset(0));
  EXPECT_EQ(info.leader_epoch, LeaderEpoch(-1));
  EXPECT_EQ(info.size_bytes, 0);
  EXPECT_EQ(info.last_append_time_ms, 0);
  EXPECT_TRUE(Batches(kLog).empty());
}

TEST_P(StoreContract, LogsAreListedInOrderOfId) {
  ASSERT_THAT(Create({LogId(30), LogId(4), LogId(17)}), IsOk());
  EXPECT_THAT(store().Logs(), ElementsAre(kLog, kOther, LogId(4), LogId(17), LogId(30)));
}

TEST_P(StoreContract, MakingALogThatExistsChangesNothing) {
  AppendOk(kLog, 3);
  EXPECT_THAT(Create({kLog}), IsOk());
  EXPECT_EQ(Info(kLog).end, Offset(3));
}

TEST_P(StoreContract, MakingNoLogsIsFine) {
  EXPECT_THAT(Create({}), IsOk());
  EXPECT_THAT(Delete({}), IsOk());
}

TEST_P(StoreContract, ADeletedLogIsGoneAndItsIdIsNotUsedAgain) {
  AppendOk(kLog, 3);
  ASSERT_THAT(Delete({kLog}), IsOk());
  EXPECT_THAT(store().Logs(), ElementsAre(kOther));
  EXPECT_THAT(Create({kLog}), FailsWith(Reason::kInvalidTopicState));
  EXPECT_THAT(Create({LogId(5), kLog}), FailsWith(Reason::kInvalidTopicState));
  EXPECT_THAT(store().Logs(), ElementsAre(kOther)) << "none of the logs is made when one cannot be";
}

TEST_P(StoreContract, DeletingAnUnknownLogIsFine) {
  EXPECT_THAT(Delete({kUnknown}), IsOk());
  ASSERT_THAT(Delete({kLog}), IsOk());
  EXPECT_THAT(Delete({kLog}), IsOk());
}

TEST_P(StoreContract, EveryCallOnADeletedOrUnknownLogSaysPartitionNotFound) {
  AppendOk(kLog);
  ASSERT_THAT(Delete({kLog}), IsOk());
  for (const LogId log : {kLog, kUnknown}) {
    EXPECT_THAT(store().Configure(log, {}), FailsWith(Reason::kPartitionNotFound));
    EXPECT_THAT(Append(log, {"a"}), FailsWith(Reason::kPartitionNotFound));
    ReplicaAppendRequest replica;
    replica.log = log;
    replica.batches.push_back(ViewOf(MakeBatchOf(1), Offset(0), LeaderEpoch(0), 1));
    EXPECT_THAT(AppendAsReplica(replica), FailsWith(Reason::kPartitionNotFound));
    EXPECT_THAT(Read(log, 0), FailsWith(Reason::kPartitionNotFound));
    EXPECT_EQ(FindByTime(log, 0), "PARTITION_NOT_FOUND");
    EXPECT_THAT(MoveLogStart(log, 0), FailsWith(Reason::kPartitionNotFound));
    EXPECT_THAT(Truncate(log, 0), FailsWith(Reason::kPartitionNotFound));
    EXPECT_THAT(BeginEpoch(log, 1), FailsWith(Reason::kPartitionNotFound));
    EXPECT_THAT(store().Info(log), FailsWith(Reason::kPartitionNotFound));
    EXPECT_EQ(EpochEndOf(log, 0), "PARTITION_NOT_FOUND");
    EXPECT_EQ(Producers(log), "PARTITION_NOT_FOUND");
  }
}

TEST_P(StoreContract, DeletingALogLeavesTheOthersAsTheyWere) {
  AppendOk(kLog, 2);
  AppendOk(kOther, 5);
  ASSERT_THAT(Delete({kLog}), IsOk());
  EXPECT_EQ(Records(kOther).size(), 5u);
  EXPECT_EQ(AppendOk(kOther), 5);
}

TEST_P(StoreContract, AfterStopEveryCallSaysShuttingDown) {
  AppendOk(kLog);
  store().Stop();
  store().Stop();  // idempotent
  EXPECT_THAT(Create({LogId(7)}), FailsWith(Reason::kShuttingDown));
  EXPECT_THAT(Delete({kLog}), FailsWith(Reason::kShuttingDown));
  EXPECT_THAT(Append(kLog, {"a"}), FailsWith(Reason::kShuttingDown));
  ReplicaAppendRequest replica;
  replica.log = kLog;
  replica.batches.push_back(ViewOf(MakeBatchOf(1), Offset(1), LeaderEpoch(0), 1));
  EXPECT_THAT(AppendAsReplica(replica), FailsWith(Reason::kShuttingDown));
  EXPECT_THAT(Read(kLog, 0), FailsWith(Reason::kShuttingDown));
  EXPECT_EQ(FindByTime(kLog, 0), "SHUTTING_DOWN");
  EXPECT_THAT(MoveLogStart(kLog, 0), FailsWith(Reason::kShuttingDown));
  EXPECT_THAT(Truncate(kLog, 0), FailsWith(Reason::kShuttingDown));
  EXPECT_THAT(BeginEpoch(kLog, 1), FailsWith(Reason::kShuttingDown));
}

TEST_P(StoreContract, EveryAppendThatStopMeetsCompletesOnceWithOkOrShuttingDown) {
  std::vector<Awaited<absl::StatusOr<Appended>>> appends(200);
  for (size_t i = 0; i < appends.size(); ++i) {
    store().Append(AppendOf(kLog, MakeBatchOf(1)), appends[i].Done());
    if (i == 150) store().Stop();
  }
  int64_t acked = 0;
  bool refused = false;
  for (auto& append : appends) {
    const absl::StatusOr<Appended> result = append.Wait();
    if (result.ok()) {
      EXPECT_FALSE(refused) << "an append behind a refused one";
      ++acked;
    } else {
      EXPECT_THAT(result, FailsWith(Reason::kShuttingDown));
      refused = true;
    }
  }
  EXPECT_TRUE(refused);
  under_test().Reopen();
  EXPECT_EQ(Info(kLog).end, Offset(acked));
}

}  // namespace
}  // namespace naru::testing
