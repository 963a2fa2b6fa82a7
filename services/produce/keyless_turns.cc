#include "services/produce/keyless_turns.h"

#include "absl/container/flat_hash_set.h"

namespace naru::services {

PartitionId KeylessTurns::Next(const cluster::TopicInfo& topic, const cluster::TopicCatalog& catalog) {
  absl::MutexLock lock(&mutex_);
  if (turns_.size() > 2 * catalog.topics.size() + 16) {
    absl::flat_hash_set<std::string> known;
    for (const auto& [name, info] : catalog.topics) known.insert(info->topic_id);
    absl::erase_if(turns_, [&](const auto& turn) { return !known.contains(turn.first); });
  }
  const uint32_t turn = turns_[topic.topic_id]++;
  return PartitionId(static_cast<int32_t>(turn % static_cast<uint32_t>(topic.partition_count())));
}

}  // namespace naru::services
