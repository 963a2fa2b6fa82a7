// Who leads a partition and who is in sync: what a partition's state becomes when brokers come and go, and
// when its leader asks for another ISR. Pure functions; every changed state has the next partition epoch, and
// the next leader epoch when the leader is another one.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "cluster/replication/partition_state.h"
#include "cluster/replication/replication_event.h"
#include "cluster/replication/replication_rules.h"

namespace naru::cluster {

// A broker as the coordinator has it on record. One that never registered has none.
struct BrokerRecord {
  BrokerEpoch epoch;  // of its newest registration
  // It neither leads nor is in sync. Every registration begins so.
  bool fenced = true;
  // Names what is on its disk: another value means that all of it was lost.
  std::string incarnation;
  // While the registration of a process that cannot vouch for what the one before it held is carried out:
  // nothing that it held counts.
  bool lost = false;
  // host:port, for clients and for other brokers.
  std::string client_address;
  std::string peer_address;
  friend bool operator==(const BrokerRecord&, const BrokerRecord&) = default;
};
using BrokerRecords = std::map<BrokerId, BrokerRecord>;

// What the state has to be, given the brokers: those fenced leave the ISR, those that lost what they held
// also the ELR, and whoever comes first of the replicas in the ISR, else in the ELR, leads (rules 12, 13).
// Nothing: it is so already.
std::optional<PartitionState> Reconcile(const PartitionState& state, const BrokerRecords& brokers,
                                        const ReplicationRules& rules = {});

// The state with the ISR that `leader` proposes. Rule 9.
//   STALE_LEADER_EPOCH     another leader, leader epoch or partition epoch: the proposer has not heard yet
//   INVALID_TOPIC_STATE    a member that may not be in the ISR: fenced, of another process than it is now, or
//                          without a copy
absl::StatusOr<PartitionState> ChangeIsr(const PartitionState& state, BrokerId leader,
                                         const IsrProposal& proposal, const BrokerRecords& brokers,
                                         const ReplicationRules& rules = {});

// Rule 21: the state without `broker` in ISR and ELR, whose copy is damaged, and with a new leader epoch, so
// that nothing counts that it claimed before. Nothing where `leader_epoch` is another one, where it has no
// copy, or where nobody else may lead: then its copy is the best there is.
std::optional<PartitionState> GiveUpCopy(const PartitionState& state, BrokerId broker,
                                         LeaderEpoch leader_epoch, const BrokerRecords& brokers,
                                         const ReplicationRules& rules = {});

// The state with its preferred leader leading, if it is in sync and another one leads.
std::optional<PartitionState> PreferLeader(const PartitionState& state);

}  // namespace naru::cluster
