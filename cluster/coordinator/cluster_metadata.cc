#include "cluster/coordinator/cluster_metadata.h"

#include <algorithm>

#include "storage/base/check.h"

namespace naru::cluster {

TopicId ToTopicId(const TopicInfo& topic) {
  TopicId id;
  NARU_CHECK(topic.topic_id.size() == id.size());
  std::copy(topic.topic_id.begin(), topic.topic_id.end(), id.begin());
  return id;
}

void ApplyWrite(const MetadataWrite& write, ClusterMetadata& metadata) {
  metadata.head = write.head + 1;
  if (!write.cluster_id.empty()) metadata.cluster_id = write.cluster_id;
  if (write.next_log) metadata.next_log = *write.next_log;
  for (const auto& [broker, record] : write.brokers) metadata.brokers[broker] = record;
  for (const auto& [name, topic] : write.topics) {
    if (topic) {
      metadata.topics[name] = topic;
      continue;
    }
    const auto known = metadata.topics.find(name);
    if (known == metadata.topics.end()) continue;
    const TopicId id = ToTopicId(*known->second);
    metadata.partitions.erase(metadata.partitions.lower_bound({id, 0}),
                              metadata.partitions.upper_bound({id, INT32_MAX}));
    metadata.topics.erase(known);
  }
  for (const auto& [partition, state] : write.partitions) metadata.partitions[partition] = state;
}

}  // namespace naru::cluster
