#include "cluster/metadata/topic_record.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "cluster/metadata/topic_config.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::cluster {
namespace {

absl::Status Corrupt(std::string_view topic, std::string_view what) {
  return MakeError(Reason::kCorruptData, absl::StrCat("the metadata record of topic \"", topic, "\" ", what));
}

bool Holds(const std::vector<BrokerId>& brokers, BrokerId broker) {
  return std::find(brokers.begin(), brokers.end(), broker) != brokers.end();
}

absl::StatusOr<PartitionPlacement> FromRecord(const naru::internal::v1::PartitionRecord& record,
                                              std::string_view topic) {
  if (record.log_id() == 0) return Corrupt(topic, "has a partition without a log id");
  if (record.replicas().empty() || record.leader() <= 0 || record.leader_epoch() < 0) {
    return Corrupt(topic, "has a partition without replicas, leader or leader epoch");
  }
  PartitionPlacement placement;
  placement.log = LogId(record.log_id());
  placement.leader = BrokerId(record.leader());
  placement.leader_epoch = LeaderEpoch(record.leader_epoch());
  for (const int32_t replica : record.replicas()) {
    const BrokerId broker(replica);
    if (replica <= 0 || Holds(placement.replicas, broker)) {
      return Corrupt(topic,
                     absl::StrCat("has a partition with replica ", replica, ", which is none or twice"));
    }
    placement.replicas.push_back(broker);
  }
  if (!Holds(placement.replicas, placement.leader)) {
    return Corrupt(topic, absl::StrCat("has a partition whose leader, ", record.leader(), ", is no replica"));
  }
  return placement;
}

}  // namespace

naru::internal::v1::TopicRecord ToRecord(const TopicInfo& topic) {
  naru::internal::v1::TopicRecord record;
  record.set_name(topic.name);
  record.set_topic_id(topic.topic_id);
  *record.mutable_config() = ToMessage(topic.config);
  record.set_create_time_ms(topic.create_time_ms);
  record.set_replication_factor(topic.replication_factor);
  record.mutable_partitions()->Reserve(topic.partition_count());
  for (const PartitionPlacement& placement : topic.partitions) {
    naru::internal::v1::PartitionRecord* partition = record.add_partitions();
    partition->set_log_id(placement.log.value());
    partition->set_leader(placement.leader.value());
    partition->set_leader_epoch(placement.leader_epoch.value());
    for (const BrokerId replica : placement.replicas) partition->add_replicas(replica.value());
  }
  return record;
}

absl::StatusOr<std::shared_ptr<const TopicInfo>> FromRecord(const naru::internal::v1::TopicRecord& record) {
  auto topic = std::make_shared<TopicInfo>();
  topic->name = record.name();
  topic->topic_id = record.topic_id();
  if (!ValidateTopicName("name", topic->name).ok())
    return Corrupt(topic->name, "has a name no topic can have");
  if (topic->topic_id.size() != kTopicIdBytes) return Corrupt(topic->name, "has no id of 16 bytes");
  if (record.partitions().empty()) return Corrupt(topic->name, "has no partitions");
  if (record.replication_factor() < 1) return Corrupt(topic->name, "has no replication factor");
  // A limit that was lowered since must not keep the topic from being served.
  const TopicConfigLimits limits{.record_bytes_max = std::numeric_limits<int32_t>::max(),
                                 .replication_factor = record.replication_factor()};
  absl::StatusOr<TopicConfig> config = MakeTopicConfig(record.config(), limits);
  if (!config.ok()) return Corrupt(topic->name, absl::StrCat("is wrong: ", config.status().message()));
  topic->config = *config;
  topic->create_time_ms = record.create_time_ms();
  topic->replication_factor = record.replication_factor();
  topic->partitions.reserve(record.partitions().size());
  for (const naru::internal::v1::PartitionRecord& partition : record.partitions()) {
    NARU_ASSIGN_OR_RETURN(PartitionPlacement placement, FromRecord(partition, topic->name));
    topic->partitions.push_back(std::move(placement));
  }
  return std::shared_ptr<const TopicInfo>(std::move(topic));
}

}  // namespace naru::cluster
