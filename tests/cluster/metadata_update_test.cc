#include "cluster/coordinator/metadata_update.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/base/status.h"

namespace naru::cluster {
namespace {

std::shared_ptr<const TopicInfo> Topic(const std::string& name, int32_t partitions) {
  auto topic = std::make_shared<TopicInfo>();
  topic->name = name;
  topic->topic_id = std::string(16, name[0]);
  for (int32_t i = 0; i < partitions; ++i) {
    topic->partitions.push_back({.log = LogId(static_cast<uint64_t>(i) + 1),
                                 .leader = BrokerId(1),
                                 .leader_epoch = LeaderEpoch(0),
                                 .replicas = {BrokerId(1), BrokerId(2)}});
  }
  return topic;
}

PartitionState State(int leader, int64_t epoch) {
  PartitionState state;
  state.replicas = {BrokerId(1), BrokerId(2)};
  state.leader = BrokerId(leader);
  state.leader_epoch = LeaderEpoch(3);
  state.epoch = PartitionEpoch(epoch);
  state.isr = {BrokerId(leader)};
  state.elr = {BrokerId(3 - leader)};
  state.min_isr = 2;
  return state;
}

ClusterMetadata Sample() {
  ClusterMetadata metadata;
  metadata.head = 12;
  metadata.cluster_id = std::string(32, 'c');
  metadata.next_log = LogId(9);
  metadata.brokers[BrokerId(1)] = {.epoch = BrokerEpoch(4),
                                   .fenced = false,
                                   .incarnation = "disk",
                                   .lost = false,
                                   .client_address = "a:1",
                                   .peer_address = "a:2"};
  metadata.topics["events"] = Topic("events", 2);
  const TopicId id = ToTopicId(*metadata.topics["events"]);
  metadata.partitions[{id, 0}] = State(1, 5);
  metadata.partitions[{id, 1}] = State(2, 6);
  return metadata;
}

TEST(MetadataUpdate, EverythingComesOverAsItIs) {
  const ClusterMetadata from = Sample();
  ClusterMetadata to;
  to.partitions[{TopicId{}, 0}] = State(1, 1);  // not there any more
  const auto difference = ApplyUpdate(ToUpdate(from), to);
  ASSERT_TRUE(difference.ok()) << difference.status();
  EXPECT_TRUE(difference->complete);
  EXPECT_EQ(to.head, from.head);
  EXPECT_EQ(to.cluster_id, from.cluster_id);
  EXPECT_EQ(to.next_log, from.next_log);
  EXPECT_EQ(to.brokers, from.brokers);
  EXPECT_EQ(to.partitions, from.partitions);
  ASSERT_EQ(to.topics.size(), 1u);
  EXPECT_EQ(to.topics.at("events")->partitions[1].log, LogId(2));
}

TEST(MetadataUpdate, AChangeOfAPartitionSaysWhichTopicItIsAbout) {
  ClusterMetadata to = Sample();
  const TopicId id = ToTopicId(*to.topics["events"]);
  const PublishChange change{.version = 13, .partitions = {{{id, 1}, State(1, 7)}}};
  const auto difference = ApplyUpdate(ToUpdate(change), to);
  ASSERT_TRUE(difference.ok()) << difference.status();
  EXPECT_FALSE(difference->complete);
  EXPECT_FALSE(difference->brokers);
  EXPECT_THAT(difference->topics, testing::ElementsAre("events"));
  EXPECT_EQ(to.head, 13);
  EXPECT_EQ(to.partitions.at({id, 1}), State(1, 7));
  EXPECT_EQ(to.partitions.at({id, 0}), State(1, 5));
}

TEST(MetadataUpdate, ATopicThatWentIsGoneWithItsPartitions) {
  ClusterMetadata to = Sample();
  const PublishChange change{.version = 13, .topics = {{"events", nullptr}}};
  const auto difference = ApplyUpdate(ToUpdate(change), to);
  ASSERT_TRUE(difference.ok()) << difference.status();
  EXPECT_THAT(difference->topics, testing::ElementsAre("events"));
  EXPECT_TRUE(to.topics.empty());
  EXPECT_TRUE(to.partitions.empty());
}

TEST(MetadataUpdate, WhatCannotBeChangesNothing) {
  ClusterMetadata to = Sample();
  auto update = ToUpdate(Sample());
  update.mutable_partitions(0)->mutable_partitions(0)->set_leader(7);
  const auto difference = ApplyUpdate(update, to);
  EXPECT_EQ(ReasonOf(difference.status()), Reason::kCorruptData);
  EXPECT_THAT(std::string(difference.status().message()), testing::HasSubstr("leader: 7"));
  EXPECT_EQ(to.partitions, Sample().partitions);
}

}  // namespace
}  // namespace naru::cluster
