// The topics of a simulated cluster: what is there when it begins, and what follows from it that some are
// made and deleted.
#include <utility>

#include "cluster/coordinator/placement.h"
#include "storage/base/strings.h"
#include "tests/sim/partition_name.h"
#include "tests/sim/world.h"

namespace naru::sim {

using namespace cluster;  // NOLINT(google-build-using-namespace): all of it is about these

ClusterMetadata World::FirstMetadata(int32_t broker_count) {
  std::map<BrokerId, int64_t> leads_nothing;
  for (int32_t id = 1; id <= broker_count; ++id) leads_nothing[BrokerId(id)] = 0;
  auto topic = std::make_shared<TopicInfo>();
  topic->name = "lasting";
  const TopicId id = MakeTopicId(kLastingTopic);
  topic->topic_id.assign(id.begin(), id.end());
  topic->replication_factor = 3;
  ClusterMetadata metadata;
  const auto partition_count = static_cast<int32_t>(random_.Between(1, 4));
  const auto placed = PlaceReplicas(leads_nothing, partition_count, topic->replication_factor);
  for (int32_t number = 0; number < partition_count; ++number) {
    PartitionState state;
    state.replicas = placed[static_cast<size_t>(number)];
    // One copy or two may be enough for some.
    if (random_.Chance(0.2)) state.replicas.resize(static_cast<size_t>(random_.Between(1, 2)));
    state.leader = state.replicas.front();
    state.leader_epoch = LeaderEpoch(0);
    state.isr = {state.replicas.begin(), state.replicas.end()};
    state.min_isr = state.replicas.size() == 3 && random_.Chance(0.9) ? 2 : 1;
    topic->partitions.push_back({metadata.next_log, state.leader, state.leader_epoch, state.replicas});
    ++metadata.next_log;
    metadata.partitions[{id, number}] = std::move(state);
  }
  metadata.topics[topic->name] = std::move(topic);
  AddGroupsTopic(leads_nothing, metadata);
  return metadata;
}

// The internal topic, of one partition.
void World::AddGroupsTopic(const std::map<BrokerId, int64_t>& leads, ClusterMetadata& metadata) {
  auto topic = std::make_shared<TopicInfo>();
  topic->name = "groups";
  topic->topic_id.assign(groups_partition_.topic.begin(), groups_partition_.topic.end());
  topic->replication_factor = 3;
  PartitionState state;
  state.replicas = PlaceReplicas(leads, 1, topic->replication_factor).front();
  state.leader = state.replicas.front();
  state.leader_epoch = LeaderEpoch(0);
  state.isr = {state.replicas.begin(), state.replicas.end()};
  state.min_isr = 2;
  topic->partitions.push_back({metadata.next_log, state.leader, state.leader_epoch, state.replicas});
  ++metadata.next_log;
  metadata.partitions[groups_partition_] = std::move(state);
  metadata.topics[topic->name] = std::move(topic);
}

void World::OnMetadata() {
  const ClusterMetadata& stored = store_->stored();
  for (const auto& [name, topic] : stored.topics) {
    const TopicId id = ToTopicId(*topic);
    for (int32_t number = 0; number < topic->partition_count(); ++number) {
      const TopicPartition partition{id, number};
      if (!logs_.contains(partition)) {
        OnPartitionMade(partition, topic->partitions[static_cast<size_t>(number)].log);
      }
    }
  }
  ClearSuspects();
  ClearDamaged();
  if (old_claim_) DeliverOldClaim();
  for (const TopicPartition& partition : std::set<TopicPartition>(partitions_)) {
    const auto state = stored.partitions.find(partition);
    if (state == stored.partitions.end()) {
      OnPartitionDeleted(partition);
      continue;
    }
    CheckGrace(partition, std::exchange(noted_[partition], state->second));
    CheckHolders(partition);
    for (const auto& broker : brokers_) touched_.insert({broker->id(), partition});
  }
}

void World::OnPartitionMade(const TopicPartition& partition, LogId log) {
  for (const auto& [other, known] : logs_) {
    if (known == log) Fail(absl::StrCat("partition ", Name(partition), " has the log of ", Name(other)));
  }
  loop_.Note(absl::StrCat("partition ", Name(partition), " is made, log ", log.value()));
  logs_[partition] = log;
  partitions_.insert(partition);
  noted_[partition] = store_->stored().partitions.at(partition);
  elected_us_[partition] = loop_.now_us();
  for (const BrokerId id : noted_[partition].replicas) {
    const auto known = store_->stored().brokers.find(id);
    const bool same =
        known != store_->stored().brokers.end() && known->second.incarnation == broker(id).incarnation();
    if (!same) stillborn_.insert(partition);
  }
  if (partition == groups_partition_) return;
  served_.insert(partition);
  TopicPolicy& policy = policies_[partition];
  if (random_.Chance(0.4)) policy.keeps = random_.Between(20, 400);
  policy.compacted = random_.Chance(0.25);
  if (policy.compacted) checker_.OnCompacted(partition);
  for (const auto& client : clients_) client->OnMade(partition);
}

bool World::DeleteStillborn() {
  bool found = false;
  for (const auto& [name, topic] : store_->stored().topics) {
    for (int32_t number = 0; number < topic->partition_count(); ++number) {
      const TopicPartition partition{ToTopicId(*topic), number};
      if (!stillborn_.contains(partition)) continue;
      const PartitionState& state = store_->stored().partitions.at(partition);
      if (state.leader != kNoBroker || !state.isr.empty() || !state.elr.empty()) continue;
      found = true;
      admin_->Delete(name);
      break;
    }
  }
  return found;
}

void World::OnPartitionDeleted(const TopicPartition& partition) {
  loop_.Note(absl::StrCat("partition ", Name(partition), " is deleted"));
  partitions_.erase(partition);
  served_.erase(partition);
  noted_.erase(partition);
}

}  // namespace naru::sim
