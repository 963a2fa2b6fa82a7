// From a TopicConfig as the API has it to the typed one, with its rules. Pure, thread-safe.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "cluster/metadata/topic_catalog.h"
#include "google/protobuf/field_mask.pb.h"
#include "naru/v1/admin.pb.h"

namespace naru::cluster {

// What a configuration may ask for at most.
struct TopicConfigLimits {
  // Of max_record_bytes: the broker's largest batch, in bytes.
  int32_t record_bytes_max = 2 << 20;
  // Of min_in_sync_replicas.
  int32_t replication_factor = 1;
};

// Fields that are absent take their defaults. INVALID_FIELD names the field ("config.retention_ms"), its
// value and what is allowed.
absl::StatusOr<TopicConfig> MakeTopicConfig(const naru::v1::TopicConfig& message,
                                            const TopicConfigLimits& limits);

// `current` with the fields that `mask` names taken from `message`; one that is named there and absent here
// goes back to its default. An empty mask takes those present in `message`. INVALID_FIELD also for a path
// that is no field of TopicConfig ("update_mask").
absl::StatusOr<TopicConfig> UpdateTopicConfig(const TopicConfig& current,
                                              const naru::v1::TopicConfig& message,
                                              const google::protobuf::FieldMask& mask,
                                              const TopicConfigLimits& limits);

// With every field set.
naru::v1::TopicConfig ToMessage(const TopicConfig& config);

}  // namespace naru::cluster
