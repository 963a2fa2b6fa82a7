// The cluster's metadata on its way from the coordinator to brokers. Pure, thread-safe.
#pragma once

#include <set>

#include "absl/status/statusor.h"
#include "cluster/coordinator/cluster_metadata.h"
#include "cluster/coordinator/coordinator_machine.h"
#include "naru/internal/v1/coordinator.pb.h"

namespace naru::cluster {

// Everything.
naru::internal::v1::MetadataUpdate ToUpdate(const ClusterMetadata& metadata);
// What changed.
naru::internal::v1::MetadataUpdate ToUpdate(const PublishChange& change);

// What an update was about.
struct MetadataDifference {
  bool complete = false;
  bool brokers = false;
  std::set<std::string> topics;  // by name: these, or partitions of them, are other than before
};

// Carries it out on `metadata`. CORRUPT_DATA, with nothing changed, when it cannot have been made by
// ToUpdate.
absl::StatusOr<MetadataDifference> ApplyUpdate(const naru::internal::v1::MetadataUpdate& update,
                                               ClusterMetadata& metadata);

}  // namespace naru::cluster
