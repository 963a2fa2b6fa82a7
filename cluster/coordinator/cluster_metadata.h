// What the coordinator decides and a metadata store keeps: brokers, topics, partitions. Values.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cluster/coordinator/leadership.h"
#include "cluster/metadata/topic_catalog.h"
#include "cluster/metadata/topic_partition.h"
#include "cluster/replication/partition_state.h"
#include "storage/base/ids.h"

namespace naru::cluster {

using PartitionStates = std::map<TopicPartition, PartitionState>;
// By name. Of their partitions' placements, logs and replicas count: who leads is in the PartitionStates.
using Topics = std::map<std::string, std::shared_ptr<const TopicInfo>>;

// What the metadata store holds. `head` counts the writes.
struct ClusterMetadata {
  int64_t head = 0;
  std::string cluster_id;  // 32 hexadecimal digits; empty before the first write that has one
  LogId next_log{1};       // the next to give out, of all brokers together
  BrokerRecords brokers;
  Topics topics;
  PartitionStates partitions;
};

// All or nothing, and only if `term` is the present election and `head` the store's; then `head` is one more.
struct MetadataWrite {
  int64_t id = 0;  // the coordinator's number of it; in answers
  int64_t term = 0;
  int64_t head = 0;
  std::string cluster_id;         // not empty: from now on
  std::optional<LogId> next_log;  // from now on
  BrokerRecords brokers;          // these are so now
  Topics topics;                  // these are so now; null: gone, with its partitions
  PartitionStates partitions;     // these are so now

  bool changes_something() const {
    return !cluster_id.empty() || next_log || !brokers.empty() || !topics.empty() || !partitions.empty();
  }
};

enum class WriteOutcome {
  kWritten,
  kOvertaken,  // not written: another write came before it
  kDeposed,    // not written: another coordinator was elected
  kUnknown,    // no answer: it may yet be written
};

// What the store holds after the write, which was for `metadata` as it is.
void ApplyWrite(const MetadataWrite& write, ClusterMetadata& metadata);

// Of a topic's 16 bytes.
TopicId ToTopicId(const TopicInfo& topic);

}  // namespace naru::cluster
