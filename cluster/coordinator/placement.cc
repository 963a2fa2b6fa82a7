#include "cluster/coordinator/placement.h"

#include "storage/base/check.h"

namespace naru::cluster {

std::map<BrokerId, int64_t> CountLeaders(const TopicCatalog& catalog) {
  std::map<BrokerId, int64_t> leaders;
  for (const BrokerInfo& broker : catalog.brokers) leaders[broker.id] = 0;
  for (const auto& [name, topic] : catalog.topics) {
    if (IsReservedTopicName(name)) continue;
    for (const PartitionPlacement& partition : topic->partitions) {
      const auto broker = leaders.find(partition.leader);
      if (broker != leaders.end()) ++broker->second;
    }
  }
  return leaders;
}

std::vector<std::vector<BrokerId>> PlaceReplicas(const std::map<BrokerId, int64_t>& leaders_by_broker,
                                                 int32_t partition_count, int32_t replication_factor) {
  const size_t broker_count = leaders_by_broker.size();
  NARU_CHECK(replication_factor >= 1 && static_cast<size_t>(replication_factor) <= broker_count);
  std::vector<BrokerId> brokers;
  size_t start = 0;
  int64_t fewest = leaders_by_broker.begin()->second;
  for (const auto& [broker, leaders] : leaders_by_broker) {
    if (leaders < fewest) {
      fewest = leaders;
      start = brokers.size();
    }
    brokers.push_back(broker);
  }
  std::vector<std::vector<BrokerId>> placed(partition_count);
  for (size_t partition = 0; partition < placed.size(); ++partition) {
    for (int32_t replica = 0; replica < replication_factor; ++replica) {
      placed[partition].push_back(brokers[(start + partition + replica) % broker_count]);
    }
  }
  return placed;
}

}  // namespace naru::cluster
