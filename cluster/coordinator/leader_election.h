// What a client's wish that other replicas lead comes to, given the metadata as it is. Pure.
#pragma once

#include <cstddef>
#include <memory>

#include "absl/status/statusor.h"
#include "cluster/coordinator/cluster_metadata.h"
#include "cluster/coordinator/topic_change.h"
#include "cluster/metadata/topic_catalog.h"
#include "naru/v1/cluster.pb.h"

namespace naru::cluster {

// The topic that the request names. TOPIC_NOT_FOUND, TOPIC_ID_MISMATCH, PARTITION_NOT_FOUND; INVALID_FIELD
// for a partition that stands twice, a leader that holds no copy of one of them, and accept_loss without a
// leader.
absl::StatusOr<std::shared_ptr<const TopicInfo>> FindForElection(const naru::v1::ElectLeadersRequest& request,
                                                                 const TopicCatalog& catalog);

// At most `partitions_max` of them change in one write; then `unfinished`, and the same request goes on.
// INVALID_TOPIC_STATE when the named leader is not in sync or not there, unless a loss is accepted and the
// partition has no leader.
absl::StatusOr<PlannedTopicChange> PlanElection(const naru::v1::ElectLeadersRequest& request,
                                                const ClusterMetadata& metadata, size_t partitions_max);

}  // namespace naru::cluster
