#include "cluster/coordinator/leadership.h"

#include <utility>

#include "storage/base/status.h"

namespace naru::cluster {
namespace {

bool IsFenced(const BrokerRecords& brokers, BrokerId broker) {
  const auto record = brokers.find(broker);
  return record == brokers.end() || record->second.fenced;
}

bool HasLost(const BrokerRecords& brokers, BrokerId broker) {
  const auto record = brokers.find(broker);
  return record != brokers.end() && record->second.lost;
}

// Rule 12: who leaves an ISR that becomes, or was, too small to commit holds everything that was committed.
void SetIsr(PartitionState& state, std::set<BrokerId> isr, const ReplicationRules& rules) {
  std::set<BrokerId> left = std::move(state.isr);
  state.isr = std::move(isr);
  if (state.enough_in_sync()) {
    state.elr.clear();
    state.last_known_elr.clear();
    return;
  }
  if (rules.keep_eligible_replicas) state.elr.merge(left);
  for (const BrokerId broker : state.isr) {
    state.elr.erase(broker);
    state.last_known_elr.erase(broker);
  }
}

// Rule 13.
BrokerId Elect(const PartitionState& state, const BrokerRecords& brokers, const ReplicationRules& rules) {
  for (const std::set<BrokerId>* eligible : {&state.isr, &state.elr}) {
    for (const BrokerId replica : state.replicas) {
      if (eligible->contains(replica) && !IsFenced(brokers, replica)) return replica;
    }
  }
  if (!rules.elect_in_sync_only) {
    for (const BrokerId replica : state.replicas) {
      if (!IsFenced(brokers, replica)) return replica;
    }
  }
  return kNoBroker;
}

}  // namespace

std::optional<PartitionState> Reconcile(const PartitionState& state, const BrokerRecords& brokers,
                                        const ReplicationRules& rules) {
  PartitionState next = state;
  std::set<BrokerId> isr = state.isr;
  for (const BrokerId broker : state.isr) {
    if (IsFenced(brokers, broker)) isr.erase(broker);
  }
  if (isr != state.isr) SetIsr(next, std::move(isr), rules);
  for (const BrokerId replica : state.replicas) {
    if (!HasLost(brokers, replica) || !rules.bad_end_leaves_eligible) continue;
    if (next.elr.erase(replica) > 0) next.last_known_elr.insert(replica);
  }
  if (next.leader == kNoBroker || IsFenced(brokers, next.leader)) {
    next.leader = Elect(next, brokers, rules);
    if (next.leader != kNoBroker) {
      isr = next.isr;
      isr.insert(next.leader);
      SetIsr(next, std::move(isr), rules);
    }
  }
  if (next == state) return std::nullopt;
  if (next.leader != state.leader) ++next.leader_epoch;
  ++next.epoch;
  return next;
}

absl::StatusOr<PartitionState> ChangeIsr(const PartitionState& state, BrokerId leader,
                                         const IsrProposal& proposal, const BrokerRecords& brokers,
                                         const ReplicationRules& rules) {
  if (state.leader != leader || state.leader_epoch != proposal.leader_epoch ||
      (state.epoch != proposal.partition_epoch && rules.compare_partition_epoch)) {
    return MakeError(Reason::kStaleLeaderEpoch,
                     absl::StrCat("isr: broker ", leader.value(), " proposes it in leader epoch ",
                                  proposal.leader_epoch.value(), ", partition epoch ",
                                  proposal.partition_epoch.value(), "; there is ", ToText(state)));
  }
  std::set<BrokerId> isr;
  for (const auto& [broker, epoch] : proposal.isr) {
    isr.insert(broker);
    if (state.isr.contains(broker)) continue;
    const auto record = brokers.find(broker);
    const bool known = record != brokers.end() && state.Holds(broker);
    if (!known || record->second.fenced || (record->second.epoch != epoch && rules.compare_broker_epochs)) {
      return MakeError(
          Reason::kInvalidTopicState,
          absl::StrCat("isr: broker ", broker.value(), " in its broker epoch ", epoch.value(),
                       " may not join; one with a copy that is registered so and not fenced may"));
    }
  }
  if (!isr.contains(leader)) {
    return MakeError(Reason::kInvalidTopicState,
                     absl::StrCat("isr: the leader, broker ", leader.value(), ", is not in it, as it must"));
  }
  PartitionState next = state;
  SetIsr(next, std::move(isr), rules);
  ++next.epoch;
  return next;
}

std::optional<PartitionState> GiveUpCopy(const PartitionState& state, BrokerId broker,
                                         LeaderEpoch leader_epoch, const BrokerRecords& brokers,
                                         const ReplicationRules& rules) {
  if (state.leader_epoch != leader_epoch || !state.Holds(broker)) return std::nullopt;
  PartitionState next = state;
  if (rules.give_up_damaged_copy) {
    std::set<BrokerId> isr = state.isr;
    isr.erase(broker);
    SetIsr(next, std::move(isr), rules);
    next.elr.erase(broker);
  }
  if (next.leader == broker || next.leader == kNoBroker) {
    next.leader = Elect(next, brokers, rules);
    if (next.leader == kNoBroker) return std::nullopt;
    std::set<BrokerId> isr = next.isr;
    isr.insert(next.leader);
    SetIsr(next, std::move(isr), rules);
    next.elr.erase(broker);
  }
  ++next.leader_epoch;
  ++next.epoch;
  return next;
}

std::optional<PartitionState> PreferLeader(const PartitionState& state) {
  const BrokerId preferred = state.replicas.front();
  if (state.leader == kNoBroker || state.leader == preferred || !state.isr.contains(preferred)) {
    return std::nullopt;
  }
  PartitionState next = state;
  next.leader = preferred;
  ++next.leader_epoch;
  ++next.epoch;
  return next;
}

}  // namespace naru::cluster
