// A topic as it is persisted, and back. Pure, thread-safe.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "cluster/metadata/topic_catalog.h"
#include "naru/internal/v1/metadata.pb.h"

namespace naru::cluster {

naru::internal::v1::TopicRecord ToRecord(const TopicInfo& topic);

// CORRUPT_DATA for a record that ToRecord cannot have made.
absl::StatusOr<std::shared_ptr<const TopicInfo>> FromRecord(const naru::internal::v1::TopicRecord& record);

}  // namespace naru::cluster
