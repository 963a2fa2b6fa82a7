#include "services/admin/topic_message.h"

#include "cluster/metadata/topic_config.h"

namespace naru::services {

naru::v1::Topic ToMessage(const cluster::TopicInfo& topic) {
  naru::v1::Topic message;
  message.set_name(topic.name);
  message.set_topic_id(topic.topic_id);
  message.set_partition_count(topic.partition_count());
  message.set_replication_factor(topic.replication_factor);
  *message.mutable_config() = cluster::ToMessage(topic.config);
  message.set_create_time_ms(topic.create_time_ms);
  return message;
}

naru::v1::PartitionState ToMessage(int32_t partition, const cluster::PartitionPlacement& placement) {
  naru::v1::PartitionState state;
  state.set_partition(partition);
  state.set_leader(placement.leader.value());
  state.set_leader_epoch(placement.leader_epoch.value());
  for (const BrokerId replica : placement.replicas) state.add_replicas(replica.value());
  for (const BrokerId replica : placement.in_sync.value_or(placement.replicas)) {
    state.add_in_sync_replicas(replica.value());
  }
  return state;
}

void SetEnds(const LogInfo& log, naru::v1::PartitionState& state) {
  state.set_log_start_offset(log.log_start.value());
  state.set_high_watermark(log.readable_end.value());
  state.set_size_bytes(log.size_bytes);
}

}  // namespace naru::services
