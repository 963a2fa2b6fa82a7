// A group as clients see it: snapshots of the coordinator, completed with the names of topics and the ends of
// their logs. Thread-safe; never blocks.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "cluster/group/group_coordinator.h"
#include "cluster/metadata/topic_catalog.h"
#include "naru/v1/group.pb.h"
#include "storage/log/log_store.h"

namespace naru::services {

using LogInfoOf = absl::FunctionRef<absl::StatusOr<LogInfo>(LogId log)>;

naru::v1::GroupState ToMessage(cluster::GroupState state);

// Partitions of topics that are gone are left out.
naru::v1::Group ToMessage(const cluster::GroupSnapshot& snapshot, const cluster::TopicCatalog& catalog,
                          LogInfoOf info);

// Of the partitions that the group reads, or has positions of.
std::set<LogId> LogsOf(const cluster::GroupSnapshot& snapshot, const cluster::TopicCatalog& catalog);

// The committed positions; TOPIC_NOT_FOUND for a topic in the request that is not there.
absl::StatusOr<naru::v1::ListCommittedOffsetsResponse> ListCommitted(
    const naru::v1::ListCommittedOffsetsRequest& request, const cluster::CommittedOffsets& offsets,
    const cluster::TopicCatalog& catalog);

// The page that `request` asks for, of groups by name. INVALID_FIELD page_size, page_token.
absl::StatusOr<naru::v1::ListGroupsResponse> ListGroupsPage(const std::vector<cluster::GroupListing>& groups,
                                                            const naru::v1::ListGroupsRequest& request);

// Records between a committed position, if any, and the high watermark.
int64_t LagOf(const cluster::CommittedOffset* committed, const LogInfo& info);

}  // namespace naru::services
