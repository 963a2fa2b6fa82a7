// Brokers and coordinators as they run, over gRPC, in one process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "storage/base/status.h"
#include "tests/cluster/broker/test_cluster.h"
#include "tests/storage/log/record_batches.h"

namespace naru::cluster {
namespace {

using ::testing::ElementsAreArray;
using ::testing::IsSupersetOf;

TEST(Cluster, ARecordAppendedThroughAnyBrokerIsReadThroughAllOfThem) {
  TestCluster cluster(1, 3);
  const auto topic = cluster.CreateTopic(2, "events", 3, 3);
  ASSERT_TRUE(topic.ok()) << topic.status();
  EXPECT_EQ((*topic)->partition_count(), 3);
  for (int32_t partition = 0; partition < 3; ++partition) {
    const LogId log = cluster.LogOf("events", partition);
    std::vector<std::string> values;
    int unknown = 0;
    for (int through = 1; through <= 3; ++through) {
      values.push_back("through " + std::to_string(through));
      const auto appended = cluster.AppendUntilDone(through, log, values.back(), unknown);
      ASSERT_TRUE(appended.ok()) << appended.status();
      EXPECT_EQ(appended->base_offset, Offset(through - 1));
    }
    EXPECT_EQ(unknown, 0);
    for (int through = 1; through <= 3; ++through) {
      const auto read = cluster.ReadAll(through, log);
      ASSERT_TRUE(read.ok()) << read.status();
      EXPECT_EQ(*read, values) << "through broker " << through;
    }
  }
}

TEST(Cluster, LeadersAndCopiesAreSpreadInOrder) {
  TestCluster cluster(1, 3);
  const auto topic = cluster.CreateTopic(1, "events", 3, 3);
  ASSERT_TRUE(topic.ok()) << topic.status();
  const auto ids = [](std::initializer_list<int> all) {
    std::vector<BrokerId> brokers;
    for (const int id : all) brokers.emplace_back(id);
    return brokers;
  };
  EXPECT_EQ((*topic)->partitions[0].replicas, ids({1, 2, 3}));
  EXPECT_EQ((*topic)->partitions[1].replicas, ids({2, 3, 1}));
  EXPECT_EQ((*topic)->partitions[2].replicas, ids({3, 1, 2}));
}

TEST(Cluster, WhatWasAcknowledgedOutlivesItsLeader) {
  TestCluster cluster(1, 3);
  ASSERT_TRUE(cluster.CreateTopic(1, "events", 1, 3, 2).ok());
  const LogId log = cluster.LogOf("events", 0);
  std::vector<std::string> acknowledged;
  int unknown = 0;
  for (int i = 0; i < 50; ++i) {
    acknowledged.push_back("before " + std::to_string(i));
    ASSERT_TRUE(cluster.AppendUntilDone(2, log, acknowledged.back(), unknown).ok());
  }
  cluster.StopBroker(1);
  for (int i = 0; i < 50; ++i) {
    acknowledged.push_back("after " + std::to_string(i));
    const auto appended = cluster.AppendUntilDone(2, log, acknowledged.back(), unknown);
    ASSERT_TRUE(appended.ok()) << appended.status();
  }
  cluster.WaitForLeader("events", 0, 2);
  auto read = cluster.ReadAll(3, log);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(*read, IsSupersetOf(acknowledged));

  cluster.StartBroker(1);
  cluster.WaitForIsr("events", 3);
  cluster.WaitForLeader("events", 0, 1);  // it is preferred
  ASSERT_TRUE(cluster.AppendUntilDone(3, log, "with all", unknown).ok());
  acknowledged.emplace_back("with all");
  read = cluster.ReadAll(1, log);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(*read, IsSupersetOf(acknowledged));
}

TEST(Cluster, WhatIsCommittedMayBeCompactedAndNothingElse) {
  TestCluster cluster(1, 2);
  ASSERT_TRUE(cluster.CreateTopic(1, "events", 1, 2, 2).ok());
  const LogId log = cluster.LogOf("events", 0);
  EXPECT_EQ(cluster.broker(1).CommittedEnd(log), Offset(0));
  int unknown = 0;
  ASSERT_TRUE(cluster.AppendUntilDone(1, log, "committed", unknown).ok());
  const Offset committed = cluster.store(1).Info(log)->end;
  EXPECT_EQ(cluster.broker(1).CommittedEnd(log), committed);
  cluster.store(2).HoldDurability(true);  // it claims nothing any more
  ASSERT_TRUE(cluster.Append(1, log, "not yet", false).ok());
  EXPECT_GT(cluster.store(1).Info(log)->end, committed);
  EXPECT_EQ(cluster.broker(1).CommittedEnd(log), committed);
  EXPECT_LE(cluster.broker(2).CommittedEnd(log), committed) << "a follower knows it from its leader";
  EXPECT_EQ(cluster.broker(1).CommittedEnd(LogId(12'345)), Offset(0)) << "not known here";
  cluster.store(2).HoldDurability(false);
}

TEST(Cluster, ALostDiskIsFilledAgainFromTheLeader) {
  TestCluster cluster(1, 3);
  ASSERT_TRUE(cluster.CreateTopic(1, "events", 1, 3, 2).ok());
  const LogId log = cluster.LogOf("events", 0);
  int unknown = 0;
  ASSERT_TRUE(cluster.AppendUntilDone(1, log, "kept", unknown).ok());
  cluster.StopBroker(3);
  cluster.ReplaceDisk(3);
  ASSERT_TRUE(cluster.AppendUntilDone(1, log, "meanwhile", unknown).ok());
  cluster.StartBroker(3);
  cluster.WaitForIsr("events", 3);
  cluster.StopBroker(1);
  cluster.StopBroker(2);
  EXPECT_EQ(cluster.store(3).Info(log)->end, Offset(2));
}

TEST(Cluster, ACopyThatBeginsAboveWhatIsGoneKnowsTheProducersOfThat) {
  TestCluster cluster(1, 2);
  ASSERT_TRUE(cluster.CreateTopic(1, "events", 1, 2, 1).ok());
  const LogId log = cluster.LogOf("events", 0);
  ASSERT_TRUE(cluster.AppendStamped(1, log, {.producer_id = 7, .epoch = 1, .base_sequence = 0}).ok());
  cluster.StopBroker(2);
  ASSERT_TRUE(cluster.MoveLogStart(1, log, Offset(1)).ok());
  cluster.ReplaceDisk(2);
  cluster.StartBroker(2);
  cluster.WaitForIsr("events", 2);
  cluster.StopBroker(1);
  cluster.WaitForLeader("events", 0, 2);
  const ProducerStamp next{.producer_id = 7, .epoch = 1, .base_sequence = 1};
  const auto appended = cluster.AppendStamped(2, log, next);
  ASSERT_TRUE(appended.ok()) << appended.status();
  EXPECT_EQ(appended->base_offset, Offset(1));
}

TEST(Cluster, ADamagedLeaderHandsOverAndIsMadeAnew) {
  TestCluster cluster(1, 3);
  ASSERT_TRUE(cluster.CreateTopic(1, "events", 1, 3, 2).ok());
  const LogId log = cluster.LogOf("events", 0);
  int unknown = 0;
  std::vector<std::string> values;
  for (int i = 0; i < 20; ++i) {
    values.push_back("value " + std::to_string(i));
    ASSERT_TRUE(cluster.AppendUntilDone(2, log, values.back(), unknown).ok());
  }
  cluster.WaitForIsr("events", 3);
  cluster.WaitForLeader("events", 0, 1);
  ASSERT_TRUE(cluster.store(1).Damage(log, Offset(5)));
  const absl::Status refused = cluster.ReadAll(3, log).status();
  EXPECT_EQ(ReasonOf(refused), Reason::kNoLeader) << refused << ": not for good, since others have it";
  cluster.WaitForLeader("events", 0, 2);
  auto read = cluster.ReadAllUntilDone(3, log);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(*read, ElementsAreArray(values));

  cluster.WaitForIsr("events", 3);
  cluster.WaitForLeader("events", 0, 1);  // it is preferred, and whole again
  read = cluster.ReadAllUntilDone(3, log);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(*read, ElementsAreArray(values));
}

TEST(Cluster, TheOnlyCopyInSyncLeadsOnAlsoWhenItIsDamaged) {
  TestCluster cluster(1, 2);
  ASSERT_TRUE(cluster.CreateTopic(1, "events", 1, 2, 1).ok());
  const LogId log = cluster.LogOf("events", 0);
  int unknown = 0;
  ASSERT_TRUE(cluster.AppendUntilDone(1, log, "with both", unknown).ok());
  cluster.StopBroker(2);
  ASSERT_TRUE(cluster.AppendUntilDone(1, log, "alone", unknown).ok());
  cluster.WaitForIsr("events", 1);
  ASSERT_TRUE(cluster.store(1).Damage(log, Offset(1)));
  const absl::Status refused = cluster.ReadFrom(1, log, Offset(1)).status();
  EXPECT_EQ(ReasonOf(refused), Reason::kCorruptData) << refused;
  EXPECT_TRUE(cluster.ReadFrom(1, log, Offset(0)).ok()) << "what is whole is served";
  EXPECT_TRUE(cluster.Append(1, log, "goes on").ok());
}

TEST(Cluster, AReplicaThatCatchesUpTakesNoMoreThanItsRate) {
  constexpr int64_t kRate = 1 << 20;
  TestCluster cluster(1, 2, kRate);
  ASSERT_TRUE(cluster.CreateTopic(1, "events", 1, 2, 1).ok());
  const LogId log = cluster.LogOf("events", 0);
  cluster.StopBroker(2);
  int unknown = 0;
  const std::string value(64 << 10, 'v');
  for (int i = 0; i < 16; ++i) ASSERT_TRUE(cluster.AppendUntilDone(1, log, value, unknown).ok());
  const absl::Time begun = absl::Now();
  cluster.StartBroker(2);
  cluster.WaitForIsr("events", 2);
  // A tenth of a second's worth may come at once, and a fetch or two more than was left.
  EXPECT_GE(absl::Now() - begun, absl::Milliseconds(600));
}

TEST(Cluster, LeadersAreElectedOnRequestAndNothingIsLost) {
  TestCluster cluster(1, 3);
  ASSERT_TRUE(cluster.CreateTopic(1, "events", 3, 3, 2).ok());
  const LogId log = cluster.LogOf("events", 0);
  int unknown = 0;
  ASSERT_TRUE(cluster.AppendUntilDone(1, log, "before", unknown).ok());
  naru::v1::ElectLeadersRequest request;
  request.set_topic("events");
  request.set_leader(3);
  absl::Notification answered;
  absl::StatusOr<std::shared_ptr<const TopicInfo>> topic;
  cluster.broker(2).ElectLeaders(request, [&](auto elected) {
    topic = std::move(elected);
    answered.Notify();
  });
  answered.WaitForNotification();
  ASSERT_TRUE(topic.ok()) << topic.status();
  for (const PartitionPlacement& partition : (*topic)->partitions) EXPECT_EQ(partition.leader, BrokerId(3));
  ASSERT_TRUE(cluster.AppendUntilDone(1, log, "after", unknown).ok());
  const auto read = cluster.ReadAllUntilDone(2, log);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(*read, IsSupersetOf({"before", "after"}));
}

TEST(Cluster, WhatAFollowersDiskRefusedIsFetchedAgainWithoutMoreBeingAppended) {
  TestCluster cluster(1, 2);
  ASSERT_TRUE(cluster.CreateTopic(1, "events", 1, 2, 2).ok());
  const LogId log = cluster.LogOf("events", 0);
  int unknown = 0;
  ASSERT_TRUE(cluster.AppendUntilDone(1, log, "begun", unknown).ok());
  cluster.store(2).SetStorageFull(true);
  absl::Notification answered;
  absl::StatusOr<Appended> appended;
  cluster.broker(1).logs().Append(testing::AppendOf(log, testing::MakeBatch({"waits"})),
                                  [&](absl::StatusOr<Appended> result) {
                                    appended = std::move(result);
                                    answered.Notify();
                                  });
  // Until the follower's fetch behind the refused batch waits at the leader.
  EXPECT_FALSE(answered.WaitForNotificationWithTimeout(absl::Milliseconds(300)));
  cluster.store(2).SetStorageFull(false);
  ASSERT_TRUE(answered.WaitForNotificationWithTimeout(absl::Seconds(20)));
  EXPECT_TRUE(appended.ok()) << appended.status();
}

TEST(Cluster, WhatAFollowersDiskRefusedIsNotCountedWhenItLeads) {
  TestCluster cluster(1, 3);
  ASSERT_TRUE(cluster.CreateTopic(1, "events", 1, 3, 2).ok());
  const LogId log = cluster.LogOf("events", 0);
  int unknown = 0;
  ASSERT_TRUE(cluster.AppendUntilDone(1, log, "begun", unknown).ok());
  cluster.WaitForIsr("events", 3);
  cluster.store(2).SetStorageFull(true);
  // The third replica gets these, the second fetches them again and again.
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(cluster.Append(1, log, "never acknowledged", false).ok());
  cluster.WaitForEnd(3, log, Offset(6));
  EXPECT_EQ(cluster.store(2).Info(log)->end, Offset(1));
  cluster.StopBroker(1);
  cluster.WaitForLeader("events", 0, 2);
  cluster.store(2).SetStorageFull(false);
  ASSERT_TRUE(cluster.AppendUntilDone(2, log, "acknowledged", unknown).ok());
  cluster.StopBroker(2);
  cluster.StartBroker(1);
  cluster.WaitForLeader("events", 0, 3);
  const auto read = cluster.ReadAllUntilDone(3, log);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(*read, IsSupersetOf({"begun", "acknowledged"}));
}

TEST(Cluster, WithTooFewInSyncNothingIsAppended) {
  TestCluster cluster(1, 2);
  ASSERT_TRUE(cluster.CreateTopic(1, "events", 1, 2, 2).ok());
  const LogId log = cluster.LogOf("events", 0);
  int unknown = 0;
  ASSERT_TRUE(cluster.AppendUntilDone(1, log, "with both", unknown).ok());
  cluster.StopBroker(2);
  cluster.WaitForTooFewInSync(1);
  const absl::Status refused = cluster.Append(1, log, "alone").status();
  EXPECT_EQ(ReasonOf(refused), Reason::kNotEnoughReplicas) << refused;
  cluster.StartBroker(2);
  cluster.WaitForIsr("events", 2);
  ASSERT_TRUE(cluster.AppendUntilDone(1, log, "with both again", unknown).ok());
}

TEST(Cluster, AnotherCoordinatorTakesOverAndRecordsFlowMeanwhile) {
  TestCluster cluster(2, 3);
  ASSERT_TRUE(cluster.CreateTopic(1, "events", 1, 3, 2).ok());
  const LogId log = cluster.LogOf("events", 0);
  int unknown = 0;
  ASSERT_TRUE(cluster.AppendUntilDone(2, log, "before", unknown).ok());
  cluster.StopCoordinator(0);
  const auto appended = cluster.Append(2, log, "between");
  EXPECT_TRUE(appended.ok()) << appended.status();
  const auto topic = cluster.CreateTopic(3, "more", 1, 3);
  ASSERT_TRUE(topic.ok()) << topic.status();
  cluster.StopBroker(1);
  ASSERT_TRUE(cluster.AppendUntilDone(2, log, "after", unknown).ok());
  const auto read = cluster.ReadAll(3, log);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(*read, IsSupersetOf({"before", "between", "after"}));
}

TEST(Cluster, WhatIsNotThereIsRefusedForGoodByALeaderThatIsSureToLead) {
  TestCluster cluster(1, 3);
  ASSERT_TRUE(cluster.CreateTopic(1, "events", 1, 3, 2).ok());
  const LogId log = cluster.LogOf("events", 0);
  int unknown = 0;
  ASSERT_TRUE(cluster.AppendUntilDone(1, log, "a", unknown).ok());
  for (int through = 1; through <= 3; ++through) {
    EXPECT_EQ(ReasonOf(cluster.ReadFrom(through, log, Offset(7)).status()), Reason::kOffsetOutOfRange);
    EXPECT_EQ(ReasonOf(cluster.AppendAt(through, log, Offset(7)).status()), Reason::kExpectedOffsetMismatch);
  }
  // Those in sync are not there to say that they still follow.
  cluster.StopCoordinator(0);
  cluster.StopBroker(2);
  cluster.StopBroker(3);
  EXPECT_EQ(ReasonOf(cluster.ReadFrom(1, log, Offset(7)).status()), Reason::kNoLeader);
  EXPECT_EQ(ReasonOf(cluster.AppendAt(1, log, Offset(7)).status()), Reason::kNoLeader);
}

TEST(Cluster, ARecordThatOnlyTheLeaderIsToHaveIsAnsweredWithoutTheOthers) {
  TestCluster cluster(1, 3);
  ASSERT_TRUE(cluster.CreateTopic(1, "events", 1, 3, 3).ok());
  const LogId log = cluster.LogOf("events", 0);
  int unknown = 0;
  ASSERT_TRUE(cluster.AppendUntilDone(1, log, "with all", unknown).ok());
  cluster.StopBroker(3);
  cluster.WaitForTooFewInSync(1);
  EXPECT_EQ(ReasonOf(cluster.Append(2, log, "with all").status()), Reason::kNotEnoughReplicas);
  const auto appended = cluster.Append(2, log, "here", /*on_all_in_sync=*/false);
  EXPECT_TRUE(appended.ok()) << appended.status();
}

// What an append through a broker is answered that stops while it waits for a disk.
absl::Status StoppedMeanwhile(int through, int slow_disk) {
  TestCluster cluster(1, 2);
  EXPECT_TRUE(cluster.CreateTopic(1, "events", 1, 2, 2).ok());
  const LogId log = cluster.LogOf("events", 0);
  int unknown = 0;
  EXPECT_TRUE(cluster.AppendUntilDone(through, log, "with both", unknown).ok());
  cluster.store(slow_disk).HoldDurability(true);  // it claims nothing any more
  absl::Notification answered;
  absl::Status status;
  AppendRequest request = testing::AppendOf(log, testing::MakeBatch({"perhaps"}));
  cluster.broker(through).logs().Append(std::move(request), [&](const absl::StatusOr<Appended>& appended) {
    status = appended.status();
    answered.Notify();
  });
  EXPECT_FALSE(answered.HasBeenNotified());
  cluster.StopBroker(through);
  EXPECT_TRUE(answered.HasBeenNotified()) << "before the broker is gone";
  cluster.store(slow_disk).HoldDurability(false);
  return status;
}

// Who sends it again may append it twice: it must not be told that nothing was done.
TEST(Cluster, OfWhatWaitsNobodyKnowsWhenItsLeaderStops) {
  EXPECT_EQ(ReasonOf(StoppedMeanwhile(/*through=*/1, /*slow_disk=*/2)), Reason::kLeaderChanged);
}

TEST(Cluster, OfWhatWasForwardedNobodyKnowsWhenItsBrokerStops) {
  EXPECT_EQ(ReasonOf(StoppedMeanwhile(/*through=*/2, /*slow_disk=*/1)), Reason::kLeaderChanged);
}

TEST(Cluster, ATopicThatIsDeletedIsGoneEverywhere) {
  TestCluster cluster(1, 3);
  ASSERT_TRUE(cluster.CreateTopic(1, "events", 2, 3).ok());
  const LogId log = cluster.LogOf("events", 0);
  int unknown = 0;
  ASSERT_TRUE(cluster.AppendUntilDone(2, log, "a", unknown).ok());
  absl::Notification deleted;
  naru::v1::DeleteTopicRequest request;
  request.set_name("events");
  cluster.broker(3).DeleteTopic(request, [&](const absl::Status& status) {
    EXPECT_TRUE(status.ok()) << status;
    deleted.Notify();
  });
  deleted.WaitForNotification();
  EXPECT_EQ(ReasonOf(cluster.broker(3).Current()->Find("events").status()), Reason::kTopicNotFound);
  EXPECT_EQ(ReasonOf(cluster.Append(3, log, "b").status()), Reason::kPartitionNotFound);
}

}  // namespace
}  // namespace naru::cluster
