#include "cluster/coordinator/metadata_update.h"

#include <map>
#include <string>
#include <utility>

#include "cluster/coordinator/cluster_record.h"
#include "cluster/metadata/topic_record.h"
#include "storage/base/status.h"

namespace naru::cluster {
namespace {

using naru::internal::v1::MetadataUpdate;

void Add(const BrokerRecords& brokers, const Topics& topics, const PartitionStates& partitions,
         MetadataUpdate& to) {
  for (const auto& [broker, record] : brokers) *to.add_brokers() = ToRecord(broker, record);
  for (const auto& [name, topic] : topics) {
    if (topic) {
      *to.add_topics() = ToRecord(*topic);
    } else {
      to.add_removed_topics(name);
    }
  }
  naru::internal::v1::PartitionStatesRecord* of_topic = nullptr;
  std::optional<TopicId> last;
  for (const auto& [partition, state] : partitions) {
    if (last != partition.topic) {
      of_topic = to.add_partitions();
      of_topic->set_topic_id(std::string(partition.topic.data(), partition.topic.size()));
      last = partition.topic;
    }
    *of_topic->add_partitions() = ToRecord(partition.partition, state);
  }
}

}  // namespace

MetadataUpdate ToUpdate(const ClusterMetadata& metadata) {
  MetadataUpdate to;
  to.set_version(metadata.head);
  to.set_complete(true);
  to.set_cluster_id(metadata.cluster_id);
  to.set_next_log_id(metadata.next_log.value());
  Add(metadata.brokers, metadata.topics, metadata.partitions, to);
  return to;
}

MetadataUpdate ToUpdate(const PublishChange& change) {
  MetadataUpdate to;
  to.set_version(change.version);
  Add(change.brokers, change.topics, change.partitions, to);
  return to;
}

absl::StatusOr<MetadataDifference> ApplyUpdate(const MetadataUpdate& update, ClusterMetadata& metadata) {
  MetadataWrite write;
  write.head = update.version() - 1;
  for (const auto& record : update.brokers()) {
    NARU_ASSIGN_OR_RETURN(auto broker, FromRecord(record));
    write.brokers.insert(std::move(broker));
  }
  for (const auto& record : update.topics()) {
    NARU_ASSIGN_OR_RETURN(auto topic, FromRecord(record));
    const std::string& name = topic->name;
    write.topics[name] = topic;
  }
  for (const auto& name : update.removed_topics()) write.topics[name] = nullptr;
  for (const auto& of_topic : update.partitions()) {
    NARU_ASSIGN_OR_RETURN(const TopicId id, ToTopicId(of_topic.topic_id()));
    for (const auto& record : of_topic.partitions()) {
      NARU_ASSIGN_OR_RETURN(auto partition, FromRecord(record));
      write.partitions[{id, partition.first}] = std::move(partition.second);
    }
  }
  MetadataDifference difference{.complete = update.complete(), .brokers = !write.brokers.empty()};
  if (update.complete()) {
    metadata = ClusterMetadata{.cluster_id = update.cluster_id(), .next_log = LogId(update.next_log_id())};
  }
  for (const auto& [name, topic] : write.topics) difference.topics.insert(name);
  ApplyWrite(write, metadata);
  if (!write.partitions.empty()) {
    std::map<TopicId, std::string> names;
    for (const auto& [name, topic] : metadata.topics) names[ToTopicId(*topic)] = name;
    for (const auto& [partition, state] : write.partitions) {
      if (const auto name = names.find(partition.topic); name != names.end()) {
        difference.topics.insert(name->second);
      }
    }
  }
  return difference;
}

}  // namespace naru::cluster
