#include "cluster/coordinator/topic_change.h"

#include <algorithm>
#include <utility>

#include "cluster/coordinator/leader_election.h"
#include "storage/base/status.h"

namespace naru::cluster {
namespace {

TopicLedger LedgerOf(const ClusterMetadata& metadata, const TopicLimits& limits) {
  StoredMetadata stored;
  stored.identity = Identity{metadata.cluster_id, kNoBroker};
  stored.counters.next_log = metadata.next_log;
  for (const auto& [name, topic] : metadata.topics) stored.topics.push_back(topic);
  std::vector<BrokerInfo> brokers;
  for (const auto& [broker, record] : metadata.brokers) {
    if (!record.fenced) brokers.push_back({broker, record.client_address});
  }
  return {limits, std::move(stored), std::move(brokers)};
}

std::shared_ptr<const TopicInfo> FindTopic(const ClusterMetadata& metadata, const std::string& name) {
  const auto found = metadata.topics.find(name);
  return found == metadata.topics.end() ? nullptr : found->second;
}

// All that are there are in sync with a log that is empty.
PartitionState StateOfNew(const PartitionPlacement& placement, const TopicConfig& config) {
  PartitionState state;
  state.replicas = placement.replicas;
  state.leader = placement.replicas.front();
  state.leader_epoch = LeaderEpoch(0);
  state.isr = {placement.replicas.begin(), placement.replicas.end()};
  state.min_isr = config.min_in_sync_replicas;
  return state;
}

PartitionState WithMinIsr(PartitionState state, int32_t min_isr) {
  state.min_isr = min_isr;
  state.epoch = PartitionEpoch(state.epoch.value() + 1);
  // Rule 12: from now on records are committed without those who left.
  if (state.enough_in_sync()) {
    state.elr.clear();
    state.last_known_elr.clear();
  }
  return state;
}

PlannedTopicChange Plan(const TopicChange& change, const ClusterMetadata& metadata) {
  PlannedTopicChange planned{.write = {}, .topic = change.after};
  if (change.changes_nothing()) return planned;
  const std::string& name = (change.after ? change.after : change.before)->name;
  planned.write.topics[name] = change.after;
  if (!change.after) return planned;
  if (!change.logs_made.empty()) planned.write.next_log = change.counters.next_log;
  const TopicId id = ToTopicId(*change.after);
  const int32_t present = change.before ? change.before->partition_count() : 0;
  for (int32_t i = present; i < change.after->partition_count(); ++i) {
    planned.write.partitions[{id, i}] =
        StateOfNew(change.after->partitions[static_cast<size_t>(i)], change.after->config);
  }
  const int32_t min_isr = change.after->config.min_in_sync_replicas;
  if (change.before && change.before->config.min_in_sync_replicas != min_isr) {
    for (int32_t i = 0; i < present; ++i) {
      planned.write.partitions[{id, i}] = WithMinIsr(metadata.partitions.at({id, i}), min_isr);
    }
  }
  return planned;
}

class Planner {
 public:
  Planner(const TopicRequest& request, const ClusterMetadata& metadata, const TopicLimits& limits,
          size_t elections_max)
      : request_(request), metadata_(metadata), limits_(limits), elections_max_(elections_max) {
    for (const auto& [broker, record] : metadata.brokers) brokers_ += record.fenced ? 0 : 1;
  }

  absl::StatusOr<PlannedTopicChange> operator()(naru::v1::CreateTopicRequest create) const {
    if (const auto topic = FindTopic(metadata_, create.name())) {
      const bool own = request_.in_doubt && topic->topic_id == request_.new_topic_id;
      if (own || request_.internal) return PlannedTopicChange{.write = {}, .topic = topic};
    }
    if (brokers_ == 0) return NoBroker();
    if (create.replication_factor() == 0) {
      create.set_replication_factor(std::min(brokers_, kReplicationFactorDefault));
    }
    const auto maker = request_.internal ? TopicLedger::Maker::kBroker : TopicLedger::Maker::kClient;
    NARU_ASSIGN_OR_RETURN(const TopicChange change,
                          LedgerOf(metadata_, limits_)
                              .Create(create, create.validate_only() ? "" : request_.new_topic_id,
                                      create.validate_only() ? 0 : request_.now_ms, maker));
    if (create.validate_only()) return PlannedTopicChange{.write = {}, .topic = change.after};
    return Plan(change, metadata_);
  }

  absl::StatusOr<PlannedTopicChange> operator()(const naru::v1::UpdateTopicRequest& update) const {
    if (brokers_ == 0) return NoBroker();
    NARU_ASSIGN_OR_RETURN(const TopicChange change, LedgerOf(metadata_, limits_).Update(update));
    return Plan(change, metadata_);
  }

  absl::StatusOr<PlannedTopicChange> operator()(const naru::v1::CreatePartitionsRequest& grow) const {
    if (brokers_ == 0) return NoBroker();
    const auto topic = FindTopic(metadata_, grow.name());
    if (topic && request_.in_doubt && topic->partition_count() == grow.partition_count()) {
      return PlannedTopicChange{.write = {}, .topic = topic};
    }
    if (topic && topic->replication_factor > brokers_) {
      return MakeError(
          Reason::kNotEnoughReplicas,
          absl::StrCat("replication_factor: topic \"", topic->name, "\" has ", topic->replication_factor,
                       " copies of each partition, and ", brokers_, " brokers are there; start the others"));
    }
    NARU_ASSIGN_OR_RETURN(const TopicChange change, LedgerOf(metadata_, limits_).Grow(grow));
    if (grow.validate_only()) return PlannedTopicChange{.write = {}, .topic = change.after};
    return Plan(change, metadata_);
  }

  absl::StatusOr<PlannedTopicChange> operator()(const naru::v1::DeleteTopicRequest& remove) const {
    if (request_.in_doubt && FindTopic(metadata_, remove.name()) == nullptr) return PlannedTopicChange{};
    if (brokers_ == 0) return NoBroker();
    NARU_ASSIGN_OR_RETURN(const TopicChange change, LedgerOf(metadata_, limits_).Delete(remove));
    return Plan(change, metadata_);
  }

  absl::StatusOr<PlannedTopicChange> operator()(const naru::v1::ElectLeadersRequest& elect) const {
    return PlanElection(elect, metadata_, elections_max_);
  }

 private:
  static absl::Status NoBroker() {
    return MakeError(Reason::kNotEnoughReplicas,
                     "no broker of the cluster is there; start one, or try again");
  }

  const TopicRequest& request_;
  const ClusterMetadata& metadata_;
  const TopicLimits& limits_;
  const size_t elections_max_;
  int32_t brokers_ = 0;
};

}  // namespace

absl::StatusOr<PlannedTopicChange> PlanTopicChange(const TopicRequest& request,
                                                   const ClusterMetadata& metadata, const TopicLimits& limits,
                                                   size_t elections_max) {
  return std::visit(Planner(request, metadata, limits, elections_max), request.change);
}

}  // namespace naru::cluster
