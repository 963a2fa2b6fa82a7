// What a wish of a client comes to in a cluster.
#include "cluster/coordinator/topic_change.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "storage/base/status.h"

namespace naru::cluster {
namespace {

class TopicChangeTest : public testing::Test {
 protected:
  TopicChangeTest() {
    metadata_.head = 10;
    metadata_.cluster_id = std::string(32, 'c');
    for (int id = 1; id <= 3; ++id) {
      metadata_.brokers[BrokerId(id)] = {.epoch = BrokerEpoch(id), .fenced = false, .incarnation = "disk"};
    }
  }

  static TopicRequest Create(const std::string& name, int32_t partitions, int32_t copies = 0) {
    naru::v1::CreateTopicRequest request;
    request.set_name(name);
    request.set_partition_count(partitions);
    request.set_replication_factor(copies);
    return {.change = request, .internal = false, .new_topic_id = std::string(16, name[0]), .now_ms = 5};
  }
  static TopicRequest Grow(const std::string& name, int32_t partitions) {
    naru::v1::CreatePartitionsRequest request;
    request.set_name(name);
    request.set_partition_count(partitions);
    return {.change = request};
  }
  static TopicRequest Delete(const std::string& name) {
    naru::v1::DeleteTopicRequest request;
    request.set_name(name);
    return {.change = request};
  }

  absl::StatusOr<PlannedTopicChange> Plan(const TopicRequest& request) const {
    return PlanTopicChange(request, metadata_, {});
  }
  PlannedTopicChange Do(const TopicRequest& request) {
    auto planned = Plan(request);
    EXPECT_TRUE(planned.ok()) << planned.status();
    planned->write.head = metadata_.head;
    ApplyWrite(planned->write, metadata_);
    return *planned;
  }

  ClusterMetadata metadata_;
};

TEST_F(TopicChangeTest, ANewTopicHasItsCopiesSpreadAndAllInSync) {
  const PlannedTopicChange made = Do(Create("events", 3));
  ASSERT_EQ(made.topic->partition_count(), 3);
  EXPECT_EQ(made.topic->replication_factor, 3) << "as many as there are brokers, up to three";
  EXPECT_EQ(made.topic->config.min_in_sync_replicas, 2);
  for (int32_t i = 0; i < 3; ++i) {
    const PartitionState& state = metadata_.partitions.at({ToTopicId(*made.topic), i});
    EXPECT_EQ(state.leader, BrokerId(i + 1));
    EXPECT_EQ(state.leader_epoch, LeaderEpoch(0));
    EXPECT_EQ(state.isr.size(), 3u);
    EXPECT_EQ(state.min_isr, 2);
  }
}

TEST_F(TopicChangeTest, LogIdsAreGivenOutOnce) {
  const PlannedTopicChange first = Do(Create("a", 2));
  Do(Delete("a"));
  const PlannedTopicChange second = Do(Create("b", 2));
  EXPECT_EQ(first.topic->partitions[1].log, LogId(2));
  EXPECT_EQ(second.topic->partitions[0].log, LogId(3));
  EXPECT_EQ(metadata_.next_log, LogId(5));
}

TEST_F(TopicChangeTest, BrokersThatAreFencedGetNothing) {
  metadata_.brokers.at(BrokerId(2)).fenced = true;
  const auto three = Plan(Create("events", 1, 3));
  EXPECT_EQ(ReasonOf(three.status()), Reason::kInvalidField);
  EXPECT_THAT(std::string(three.status().message()), testing::HasSubstr("1 to 2"));
  const PlannedTopicChange two = Do(Create("events", 2));
  EXPECT_EQ(two.topic->replication_factor, 2);
  for (const PartitionPlacement& placement : two.topic->partitions) {
    EXPECT_THAT(placement.replicas, testing::Not(testing::Contains(BrokerId(2))));
  }
}

TEST_F(TopicChangeTest, WithoutBrokersNothingIsDone) {
  for (auto& [id, record] : metadata_.brokers) record.fenced = true;
  EXPECT_EQ(ReasonOf(Plan(Create("events", 1)).status()), Reason::kNotEnoughReplicas);
}

TEST_F(TopicChangeTest, ATopicThatIsMadeAgainInDoubtIsTheOneThatWasMade) {
  TopicRequest request = Create("events", 1);
  Do(request);
  EXPECT_EQ(ReasonOf(Plan(request).status()), Reason::kTopicExists);
  request.in_doubt = true;
  const auto again = Plan(request);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_FALSE(again->write.changes_something());
  EXPECT_EQ(again->topic->name, "events");
  request.new_topic_id = std::string(16, 'x');
  EXPECT_EQ(ReasonOf(Plan(request).status()), Reason::kTopicExists) << "somebody else made it";
}

TEST_F(TopicChangeTest, PartitionsAreAddedAndThoseThatAreThereStay) {
  const PlannedTopicChange made = Do(Create("events", 1));
  PartitionState& first = metadata_.partitions.at({ToTopicId(*made.topic), 0});
  first.epoch = PartitionEpoch(7);
  const PlannedTopicChange grown = Do(Grow("events", 3));
  EXPECT_EQ(grown.write.partitions.size(), 2u);
  EXPECT_EQ(metadata_.partitions.at({ToTopicId(*made.topic), 0}).epoch, PartitionEpoch(7));
  EXPECT_EQ(metadata_.partitions.size(), 3u);
  TopicRequest again = Grow("events", 3);
  again.in_doubt = true;
  EXPECT_FALSE(Plan(again)->write.changes_something());
}

TEST_F(TopicChangeTest, AnotherMinimumInSyncIsANewStateOfEveryPartition) {
  const PlannedTopicChange made = Do(Create("events", 2));
  PartitionState& left = metadata_.partitions.at({ToTopicId(*made.topic), 0});
  left.isr = {BrokerId(1)};
  left.elr = {BrokerId(2)};
  naru::v1::UpdateTopicRequest update;
  update.set_name("events");
  update.mutable_config()->set_min_in_sync_replicas(1);
  Do({.change = update});
  const PartitionState& now = metadata_.partitions.at({ToTopicId(*made.topic), 0});
  EXPECT_EQ(now.min_isr, 1);
  EXPECT_EQ(now.epoch, PartitionEpoch(1));
  EXPECT_TRUE(now.elr.empty()) << "from now on records are committed without it";
}

TEST_F(TopicChangeTest, ATopicThatGoesTakesItsPartitionsAlong) {
  Do(Create("events", 2));
  Do(Create("others", 1));
  Do(Delete("events"));
  EXPECT_EQ(metadata_.partitions.size(), 1u);
  EXPECT_EQ(ReasonOf(Plan(Delete("events")).status()), Reason::kTopicNotFound);
  TopicRequest again = Delete("events");
  again.in_doubt = true;
  EXPECT_TRUE(Plan(again).ok());
}

// Three partitions on 1,2,3 · 2,3,1 · 3,1,2.
class ElectionTest : public TopicChangeTest {
 protected:
  ElectionTest() { id_ = ToTopicId(*Do(Create("events", 3)).topic); }

  PartitionState& State(int32_t partition) { return metadata_.partitions.at({id_, partition}); }
  static TopicRequest Elect(std::vector<int32_t> partitions, std::optional<int32_t> leader = std::nullopt,
                            bool accept_loss = false) {
    naru::v1::ElectLeadersRequest request;
    request.set_topic("events");
    request.mutable_partitions()->Assign(partitions.begin(), partitions.end());
    if (leader) request.set_leader(*leader);
    request.set_accept_loss(accept_loss);
    return {.change = request};
  }

  TopicId id_;
};

TEST_F(ElectionTest, ANamedBrokerThatIsInSyncLeads) {
  Do(Elect({0, 2}, 2));
  EXPECT_EQ(ToText(State(0)), "leader 2 epoch 1 partition epoch 1 isr 1,2,3");
  EXPECT_EQ(ToText(State(1)), "leader 2 epoch 0 partition epoch 0 isr 1,2,3") << "not asked for";
  EXPECT_EQ(ToText(State(2)), "leader 2 epoch 1 partition epoch 1 isr 1,2,3");
  EXPECT_FALSE(Do(Elect({0}, 2)).write.changes_something()) << "it leads already";
}

TEST_F(ElectionTest, WithoutANameThePreferredLeadWhereTheyAreInSync) {
  Do(Elect({}, 2));
  State(2).isr.erase(BrokerId(3));
  Do(Elect({}));
  EXPECT_EQ(State(0).leader, BrokerId(1));
  EXPECT_EQ(State(1).leader, BrokerId(2));
  EXPECT_EQ(State(2).leader, BrokerId(2)) << "3 is not in sync";
}

TEST_F(ElectionTest, WhoIsNotInSyncLeadsOnlyWithALossThatIsAcceptedAndWhereNobodyLeads) {
  State(0).isr.erase(BrokerId(3));
  EXPECT_EQ(ReasonOf(Plan(Elect({0}, 3)).status()), Reason::kInvalidTopicState);
  EXPECT_EQ(ReasonOf(Plan(Elect({0}, 3, true)).status()), Reason::kInvalidTopicState) << "1 leads";
  State(0).leader = kNoBroker;
  State(0).isr.clear();
  State(0).elr = {BrokerId(1)};
  EXPECT_EQ(ReasonOf(Plan(Elect({0}, 3)).status()), Reason::kInvalidTopicState) << "not accepted";
  metadata_.brokers[BrokerId(3)].fenced = true;
  EXPECT_EQ(ReasonOf(Plan(Elect({0}, 3, true)).status()), Reason::kInvalidTopicState) << "not there";
  metadata_.brokers[BrokerId(3)].fenced = false;
  Do(Elect({0}, 3, true));
  EXPECT_EQ(ToText(State(0)), "leader 3 epoch 1 partition epoch 1 isr 3");
}

TEST_F(ElectionTest, BadRequestsNameWhatIsWrong) {
  EXPECT_EQ(ReasonOf(Plan(Elect({3})).status()), Reason::kPartitionNotFound);
  EXPECT_EQ(MetadataValue(Plan(Elect({1, 1})).status(), "field"), "partitions");
  EXPECT_EQ(MetadataValue(Plan(Elect({0}, 4)).status(), "field"), "leader");
  EXPECT_EQ(MetadataValue(Plan(Elect({0}, std::nullopt, true)).status(), "field"), "accept_loss");
  naru::v1::ElectLeadersRequest unknown;
  unknown.set_topic("other");
  EXPECT_EQ(ReasonOf(Plan({.change = unknown}).status()), Reason::kTopicNotFound);
}

TEST_F(ElectionTest, MoreThanOneWriteTakesGoesOn) {
  auto planned = PlanTopicChange(Elect({}, 1), metadata_, {}, 1);
  ASSERT_TRUE(planned.ok());
  EXPECT_TRUE(planned->unfinished);
  EXPECT_EQ(planned->write.partitions.size(), 1u);
  planned->write.head = metadata_.head;
  ApplyWrite(planned->write, metadata_);
  planned = PlanTopicChange(Elect({}, 1), metadata_, {}, 1);
  EXPECT_FALSE(planned->unfinished);
  EXPECT_EQ(planned->write.partitions.size(), 1u);
}

TEST_F(TopicChangeTest, WhatIsOnlyValidatedWritesNothing) {
  TopicRequest request = Create("events", 1);
  std::get<naru::v1::CreateTopicRequest>(request.change).set_validate_only(true);
  const auto planned = Plan(request);
  ASSERT_TRUE(planned.ok()) << planned.status();
  EXPECT_FALSE(planned->write.changes_something());
  EXPECT_EQ(planned->topic->partition_count(), 1);
}

}  // namespace
}  // namespace naru::cluster
