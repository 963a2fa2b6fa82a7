// Brokers and partitions as they are persisted and sent, and back. Pure, thread-safe. (Topics:
// cluster/metadata/topic_record.h.)
#pragma once

#include <span>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "cluster/coordinator/cluster_metadata.h"
#include "naru/internal/v1/metadata.pb.h"

namespace naru::cluster {

naru::internal::v1::BrokerRecord ToRecord(BrokerId broker, const BrokerRecord& record);
naru::internal::v1::PartitionStateRecord ToRecord(int32_t partition, const PartitionState& state);

// CORRUPT_DATA, naming the field and its value, for a record that ToRecord cannot have made.
absl::StatusOr<std::pair<BrokerId, BrokerRecord>> FromRecord(const naru::internal::v1::BrokerRecord& record);
absl::StatusOr<std::pair<int32_t, PartitionState>> FromRecord(
    const naru::internal::v1::PartitionStateRecord& record);

// 16 bytes, else CORRUPT_DATA.
absl::StatusOr<TopicId> ToTopicId(std::string_view bytes);

}  // namespace naru::cluster
