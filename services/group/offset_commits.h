// Positions that a client wants committed, checked. Pure but for what it asks the store.
#pragma once

#include <google/protobuf/repeated_ptr_field.h>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "cluster/group/group_event.h"
#include "cluster/metadata/topic_catalog.h"
#include "naru/v1/group.pb.h"
#include "storage/log/log_store.h"

namespace naru::services {

// INVALID_FIELD, TOPIC_NOT_FOUND, TOPIC_ID_MISMATCH, PARTITION_NOT_FOUND; OFFSET_OUT_OF_RANGE above the high
// watermark. Whose partitions they are is the group's affair.
absl::StatusOr<cluster::CommittedOffsets> ReadOffsetCommits(
    const google::protobuf::RepeatedPtrField<naru::v1::OffsetCommit>& commits,
    const cluster::TopicCatalog& catalog, absl::FunctionRef<absl::StatusOr<LogInfo>(LogId log)> info);

// As the catalog's topic_id, and back.
cluster::TopicId ToTopicId(std::string_view topic_id);
inline std::string_view Bytes(const cluster::TopicId& id) { return {id.data(), id.size()}; }

}  // namespace naru::services
