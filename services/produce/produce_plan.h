// From a request to what is to be appended where: the topic is looked up, the batch walked, the partitions
// chosen. No IO. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "cluster/metadata/topic_catalog.h"
#include "services/produce/keyless_turns.h"
#include "services/produce/produce_options.h"
#include "services/produce/produce_request.h"
#include "storage/batch/batch.h"

namespace naru::services {

// What a request says about itself, checked, before its batch is looked into.
struct ProduceTarget {
  std::shared_ptr<const cluster::TopicInfo> topic;
  // Where the whole batch goes, if the request says so.
  std::optional<PartitionId> partition;
  // `partition` is what the request names, and not what its partition_key maps to.
  bool partition_named = false;
  bool wants_ack = true;
  // Answered when all replicas in sync have it (ACKS_ALL), and not when the leader has.
  bool on_all_in_sync = true;
  std::optional<Offset> expected_offset;
  // Only at the broker that leads `partition` in this epoch. Absent: it is handed on to the leader.
  std::optional<LeaderEpoch> leader_epoch;
};

// Records of one batch for one partition.
struct ProducePart {
  PartitionId partition;
  LogId log;
  absl::Cord batch;
  BatchInfo info;
  std::vector<uint32_t> record_indexes;  // empty: all
};

// TOPIC_NOT_FOUND, TOPIC_ID_MISMATCH, PARTITION_NOT_FOUND, INVALID_FIELD.
absl::StatusOr<ProduceTarget> FindTarget(const RawProduceRequest& request,
                                         const cluster::TopicCatalog& catalog);

// At least one part, by partition. Errors of WalkBatch; INVALID_FIELD for a record without a key when the
// topic is compacted, and for a stamped batch whose partition the request does not name.
absl::StatusOr<std::vector<ProducePart>> PlanParts(const ProduceTarget& target, const absl::Cord& batch,
                                                   const cluster::TopicCatalog& catalog,
                                                   const ProduceOptions& options, KeylessTurns& turns);

}  // namespace naru::services
