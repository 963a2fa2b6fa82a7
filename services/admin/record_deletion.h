// One DeleteRecords call: moves the log starts of several partitions and answers when all are moved.
#pragma once

#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "cluster/metadata/topic_catalog.h"
#include "naru/v1/admin.pb.h"
#include "storage/log/log_store.h"

namespace naru::services {

// Everything about a request that can be wrong before any partition is looked at.
//   INVALID_FIELD  partitions (none, or too many), partitions[i].partition (named twice),
//   partitions[i].before_offset
absl::Status ValidateDeletion(const naru::v1::DeleteRecordsRequest& request);

// Starts the deletion in a store that outlives it, as `catalog` does. `response` gets a result or an error
// for each partition, in the order asked; then `done` is called once, on a thread of the store or inline.
// Request and response live until then.
void DeleteRecords(std::shared_ptr<const cluster::TopicInfo> topic,
                   const naru::v1::DeleteRecordsRequest& request, LogStore& logs,
                   const cluster::CatalogSource& catalog, naru::v1::DeleteRecordsResponse& response,
                   absl::AnyInvocable<void()> done);

}  // namespace naru::services
