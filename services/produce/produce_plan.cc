#include "services/produce/produce_plan.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/base/status.h"
#include "storage/batch/partitioner.h"

namespace naru::services {
namespace {

// A part of a compressed batch is compressed again, and may come out a little larger than its share.
constexpr int64_t kPartSlack = 2;

absl::Status CheckAcks(int32_t acks) {
  if (naru::v1::Acks_IsValid(acks)) return absl::OkStatus();
  return InvalidField("acks", absl::StrCat(acks),
                      "it is ACKS_NONE (1), ACKS_LEADER (2), ACKS_ALL (3) or absent");
}

// Of a field that is about one partition.
absl::Status CheckOfOnePartition(std::string_view field, std::optional<int64_t> value,
                                 const RawProduceRequest& request) {
  if (!value) return absl::OkStatus();
  if (*value < 0) return InvalidField(field, absl::StrCat(*value), "it is 0 or more");
  if (request.partition || request.partition_key) return absl::OkStatus();
  return InvalidField(field, absl::StrCat(*value), "it needs partition or partition_key");
}

ProducePart WholeBatch(const cluster::TopicInfo& topic, PartitionId partition, const absl::Cord& batch,
                       const BatchInfo& info) {
  return {partition, topic.partitions[static_cast<size_t>(partition.value())].log, batch, info, {}};
}

// Compaction keeps the newest record of each key: what has no key would stay for ever.
absl::Status KeylessOnCompacted(const cluster::TopicInfo& topic) {
  return InvalidField("batch.records.key", "absent",
                      absl::StrCat("topic \"", topic.name, "\" is compacted: every record needs a key"));
}

// Sequences are per partition: a batch that went elsewhere when it is sent again would not be known there.
absl::Status StampedWithoutPartition(const ProduceTarget& target) {
  return InvalidField(
      "partition", target.partition ? "partition_key" : "absent",
      "a batch with a producer's stamp names its partition, whose records its sequence counts");
}

}  // namespace

absl::StatusOr<ProduceTarget> FindTarget(const RawProduceRequest& request,
                                         const cluster::TopicCatalog& catalog) {
  ProduceTarget target;
  NARU_ASSIGN_OR_RETURN(target.topic, catalog.Find(request.topic, request.topic_id));
  NARU_RETURN_IF_ERROR(cluster::CheckChangeable("topic", request.topic));
  NARU_RETURN_IF_ERROR(CheckAcks(request.acks));
  NARU_RETURN_IF_ERROR(CheckOfOnePartition("expected_offset", request.expected_offset, request));
  NARU_RETURN_IF_ERROR(CheckOfOnePartition("leader_epoch", request.leader_epoch, request));
  target.wants_ack = request.acks != naru::v1::ACKS_NONE;
  target.on_all_in_sync = target.wants_ack && request.acks != naru::v1::ACKS_LEADER;
  if (request.expected_offset) target.expected_offset = Offset(*request.expected_offset);
  if (request.leader_epoch) target.leader_epoch = LeaderEpoch(*request.leader_epoch);
  if (request.partition) {
    NARU_RETURN_IF_ERROR(FindPartition(*target.topic, *request.partition).status());
    target.partition = PartitionId(*request.partition);
    target.partition_named = true;
  } else if (request.partition_key) {
    target.partition = PartitionForKey(*request.partition_key, target.topic->partition_count());
  }
  return target;
}

absl::StatusOr<std::vector<ProducePart>> PlanParts(const ProduceTarget& target, const absl::Cord& batch,
                                                   const cluster::TopicCatalog& catalog,
                                                   const ProduceOptions& options, KeylessTurns& turns) {
  const cluster::TopicInfo& topic = *target.topic;
  BatchLimits limits{.record_bytes_max = topic.config.record_bytes_max,
                     .batch_bytes_max = options.batch_bytes_max,
                     .records_max = options.batch_records_max};
  NARU_ASSIGN_OR_RETURN(const BatchInfo info, WalkBatch(batch, limits));
  if (info.producer && !target.partition_named) return StampedWithoutPartition(target);
  if (info.has_keyless && topic.config.compacted()) return KeylessOnCompacted(topic);
  std::vector<ProducePart> parts;
  if (target.partition) {
    parts.push_back(WholeBatch(topic, *target.partition, batch, info));
    return parts;
  }
  const PartitionId keyless = info.has_keyless ? turns.Next(topic, catalog) : PartitionId(0);
  if (!info.has_keyed) {
    parts.push_back(WholeBatch(topic, keyless, batch, info));
    return parts;
  }
  NARU_ASSIGN_OR_RETURN(std::vector<BatchPart> split,
                        SplitByKey(batch, info, topic.partition_count(), keyless));
  limits.batch_bytes_max *= kPartSlack;
  for (BatchPart& piece : split) {
    ProducePart part = WholeBatch(topic, piece.partition, piece.batch, info);
    if (split.size() > 1) {
      NARU_ASSIGN_OR_RETURN(part.info, WalkBatch(part.batch, limits));
      part.record_indexes = std::move(piece.record_indexes);
    }
    parts.push_back(std::move(part));
  }
  return parts;
}

}  // namespace naru::services
