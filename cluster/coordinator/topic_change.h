// What a client's wish to make, change, grow or delete a topic of a cluster, or to have its partitions led
// elsewhere, comes to, given the metadata as
// it is. Pure.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "absl/status/statusor.h"
#include "cluster/coordinator/cluster_metadata.h"
#include "cluster/coordinator/topic_ledger.h"
#include "naru/v1/admin.pb.h"
#include "naru/v1/cluster.pb.h"

namespace naru::cluster {

// Copies of each partition when a request does not say, or as many as there are brokers where those are
// fewer.
inline constexpr int32_t kReplicationFactorDefault = 3;

struct TopicRequest {
  std::variant<naru::v1::CreateTopicRequest, naru::v1::UpdateTopicRequest, naru::v1::CreatePartitionsRequest,
               naru::v1::DeleteTopicRequest, naru::v1::ElectLeadersRequest>
      change;
  // From naru itself, which makes topics of reserved names: then one that is there is no error.
  bool internal = false;
  // For a topic that is made: 16 bytes that nobody has drawn before, and the wall clock's milliseconds.
  std::string new_topic_id;
  int64_t now_ms = 0;
  // It was tried, and perhaps carried out: that it is so already is no error.
  bool in_doubt = false;
};

struct PlannedTopicChange {
  // Without head, term and id. Changes nothing when it is so already, or was only to be validated.
  MetadataWrite write;
  // As it is then; null: it is gone.
  std::shared_ptr<const TopicInfo> topic;
  // More than one write takes: when it is written, the same request goes on.
  bool unfinished = false;
};

// Errors are those of TopicLedger and PlanElection; brokers that are fenced count as not there.
// `elections_max`: of one write.
absl::StatusOr<PlannedTopicChange> PlanTopicChange(const TopicRequest& request,
                                                   const ClusterMetadata& metadata, const TopicLimits& limits,
                                                   size_t elections_max = 100);

}  // namespace naru::cluster
