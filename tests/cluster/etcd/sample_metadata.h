// Brokers, topics and partition states for tests, and whether two clusters' metadata are equal.
#pragma once

#include <algorithm>
#include <memory>
#include <string>

#include "cluster/coordinator/cluster_metadata.h"
#include "cluster/metadata/topic_record.h"

namespace naru::testing {

inline cluster::TopicId SampleTopicId(char last) {
  cluster::TopicId id;
  id.fill('\x8f');
  id.back() = last;
  return id;
}

// On brokers 1 to 3.
inline std::shared_ptr<const cluster::TopicInfo> SampleTopic(const std::string& name, char last_of_id,
                                                             int32_t partitions) {
  auto topic = std::make_shared<cluster::TopicInfo>();
  const cluster::TopicId id = SampleTopicId(last_of_id);
  topic->name = name;
  topic->topic_id.assign(id.begin(), id.end());
  topic->create_time_ms = 1'700'000'000'000;
  topic->replication_factor = 3;
  topic->config.retention_bytes = 1 << 20;
  for (int32_t number = 0; number < partitions; ++number) {
    cluster::PartitionPlacement placement;
    placement.log = LogId(static_cast<uint64_t>(number) + 1);
    placement.replicas = {BrokerId(1), BrokerId(2), BrokerId(3)};
    std::rotate(placement.replicas.begin(), placement.replicas.begin() + number % 3,
                placement.replicas.end());
    placement.leader = placement.replicas[0];
    placement.leader_epoch = LeaderEpoch(0);
    topic->partitions.push_back(placement);
  }
  return topic;
}

inline cluster::PartitionState SampleState(int32_t partition) {
  cluster::PartitionState state;
  state.replicas = {BrokerId(1), BrokerId(2), BrokerId(3)};
  state.leader = BrokerId(1 + partition % 3);
  state.leader_epoch = LeaderEpoch(partition);
  state.epoch = cluster::PartitionEpoch(1'000'000 + partition);
  state.isr = {BrokerId(1), state.leader};
  state.elr = {BrokerId(3)};
  state.last_known_elr = {BrokerId(2)};
  state.min_isr = 2;
  return state;
}

inline void AddStates(char last_of_id, int32_t partitions, cluster::PartitionStates& to) {
  for (int32_t number = 0; number < partitions; ++number) {
    to[{SampleTopicId(last_of_id), number}] = SampleState(number);
  }
}

inline cluster::BrokerRecord SampleBroker(int64_t epoch) {
  return {.epoch = cluster::BrokerEpoch(epoch),
          .fenced = false,
          .incarnation = "disk",
          .lost = true,
          .client_address = "host:9410",
          .peer_address = "host:9412"};
}

// Gathers what is different, for people; empty: nothing.
inline std::string Difference(const cluster::ClusterMetadata& a, const cluster::ClusterMetadata& b) {
  std::string text;
  if (a.head != b.head) text += absl::StrCat("head ", a.head, " and ", b.head, "; ");
  if (a.cluster_id != b.cluster_id) text += "cluster id; ";
  if (a.next_log != b.next_log) text += "next log; ";
  if (a.brokers != b.brokers) text += "brokers; ";
  if (a.partitions != b.partitions) {
    text += absl::StrCat(a.partitions.size(), " and ", b.partitions.size(), " partitions; ");
  }
  const bool same_topics = std::equal(
      a.topics.begin(), a.topics.end(), b.topics.begin(), b.topics.end(), [](const auto& x, const auto& y) {
        return x.first == y.first && cluster::ToRecord(*x.second).SerializeAsString() ==
                                         cluster::ToRecord(*y.second).SerializeAsString();
      });
  if (!same_topics) text += "topics; ";
  return text;
}

}  // namespace naru::testing
