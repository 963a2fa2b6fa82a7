#include "cluster/coordinator/leader_election.h"

#include <optional>
#include <set>
#include <vector>

#include "cluster/coordinator/leadership.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::cluster {
namespace {

// Those that the request names, or all.
std::vector<int32_t> PartitionsOf(const naru::v1::ElectLeadersRequest& request, const TopicInfo& topic) {
  if (request.partitions_size() > 0) return {request.partitions().begin(), request.partitions().end()};
  std::vector<int32_t> all;
  for (int32_t i = 0; i < topic.partition_count(); ++i) all.push_back(i);
  return all;
}

bool IsThere(const ClusterMetadata& metadata, BrokerId broker) {
  const auto record = metadata.brokers.find(broker);
  return record != metadata.brokers.end() && !record->second.fenced;
}

// Nothing: it leads already.
absl::StatusOr<std::optional<PartitionState>> Elect(const PartitionState& state, int32_t partition,
                                                    BrokerId leader, bool accept_loss,
                                                    const ClusterMetadata& metadata) {
  if (state.leader == leader) return std::nullopt;
  const bool there = IsThere(metadata, leader);
  if (there && state.isr.contains(leader)) return HandOver(state, leader);
  if (there && accept_loss && state.leader == kNoBroker) return ElectWithLoss(state, leader);
  return MakeError(
      Reason::kInvalidTopicState,
      absl::StrCat(
          "leader: broker ", leader.value(), there ? " is not in sync with" : " is not there to lead",
          " partition ", partition, " (", ToText(state), "); one that is in sync may lead",
          there ? ", or, with accept_loss, any that holds a copy of a partition without a leader" : ""));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const TopicInfo>> FindForElection(const naru::v1::ElectLeadersRequest& request,
                                                                 const TopicCatalog& catalog) {
  NARU_ASSIGN_OR_RETURN(auto topic, catalog.Find(request.topic(), request.topic_id()));
  if (request.accept_loss() && !request.has_leader()) {
    return InvalidField("accept_loss", "true", "it needs leader: whose copy is to be the partition's");
  }
  std::set<int32_t> seen;
  for (const int32_t partition : request.partitions()) {
    NARU_RETURN_IF_ERROR(FindPartition(*topic, partition).status());
    if (seen.insert(partition).second) continue;
    return InvalidField("partitions", absl::StrCat(partition), "each stands there once");
  }
  if (!request.has_leader()) return topic;
  for (const int32_t partition : PartitionsOf(request, *topic)) {
    const PartitionPlacement& placement = topic->partitions[static_cast<size_t>(partition)];
    bool holds = false;
    for (const BrokerId replica : placement.replicas) holds = holds || replica.value() == request.leader();
    if (holds) continue;
    return InvalidField("leader", absl::StrCat(request.leader()),
                        absl::StrCat("a broker that holds a copy of partition ", partition, " may lead it"));
  }
  return topic;
}

absl::StatusOr<PlannedTopicChange> PlanElection(const naru::v1::ElectLeadersRequest& request,
                                                const ClusterMetadata& metadata, size_t partitions_max) {
  TopicCatalog catalog;
  if (const auto found = metadata.topics.find(request.topic()); found != metadata.topics.end()) {
    catalog.topics.insert(*found);
  }
  PlannedTopicChange planned;
  NARU_ASSIGN_OR_RETURN(planned.topic, FindForElection(request, catalog));
  const TopicId id = ToTopicId(*planned.topic);
  for (const int32_t partition : PartitionsOf(request, *planned.topic)) {
    const PartitionState& state = metadata.partitions.at({id, partition});
    std::optional<PartitionState> next;
    if (request.has_leader()) {
      NARU_ASSIGN_OR_RETURN(
          next, Elect(state, partition, BrokerId(request.leader()), request.accept_loss(), metadata));
    } else {
      next = PreferLeader(state);
    }
    if (!next) continue;
    // The others are looked at all the same: one that cannot be led so fails all of it.
    if (planned.write.partitions.size() == partitions_max) {
      planned.unfinished = true;
      continue;
    }
    planned.write.partitions[{id, partition}] = *std::move(next);
  }
  return planned;
}

}  // namespace naru::cluster
