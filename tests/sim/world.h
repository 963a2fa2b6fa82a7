// A cluster in one thread on a virtual clock, and everything that can happen to it: first a storm, under
// which nothing may be lost; then calm, in which it has to recover. One seed is one run.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cluster/coordinator/coordinator_machine.h"
#include "tests/sim/broker.h"
#include "tests/sim/checker.h"
#include "tests/sim/clients.h"
#include "tests/sim/coordinator.h"
#include "tests/sim/group_history.h"
#include "tests/sim/group_host.h"
#include "tests/sim/group_member.h"
#include "tests/sim/metadata_store.h"
#include "tests/sim/network.h"
#include "tests/sim/partition_name.h"
#include "tests/sim/producers.h"
#include "tests/sim/topic_admin.h"

namespace naru::sim {

struct WorldOptions {
  Rules rules;
  int64_t storm_us = 30 * kSecond;
  int64_t calm_us_max = 90 * kSecond;
  bool verbose = false;
};

// Whether things happen at moments at which a rule is all that stands between a fault and a loss
// (world_aims.cc).
enum class Aimed { kNot, kAtReplicas, kAtGroups };
enum class Aim {
  kJoiner,    // a follower is proposed for the ISR, and its disk is replaced before the coordinator hears it
  kOldClaim,  // who has claimed more than is committed has its disk replaced; the claim comes later
  kOldCut,    // an answer that cuts a follower's log comes again when that is as long as before
  kUnsynced,  // a leader is killed of whose log others have more than its own disk
};

// How often what was done to the cluster.
using FaultCounts = std::map<std::string, int64_t>;

class World {
 public:
  World(uint64_t seed, const WorldOptions& options);

  // The first invariant that was broken, or "".
  std::string Run();

  // The same for the same seed.
  uint64_t trace() const { return loop_.trace(); }
  uint64_t steps() const { return loop_.steps(); }
  int64_t elapsed_us() const { return loop_.now_us(); }
  const Checker& checker() const { return checker_; }
  const GroupHistory& group_history() const { return group_history_; }
  const FaultCounts& faults() const { return faults_; }

 private:
  struct CommittedBatch {
    Offset base;
    Offset next;
    uint32_t crc32c = 0;
  };

  // world_faults.cc
  void Storm();
  void Harm();
  void KillBroker(Broker& broker, int64_t down_us);
  void KillAll();
  // One after the other, each some time after the one before it was started again.
  void KillOneByOne();
  void KillFrom(size_t next);
  void OnWriteFailed(Broker& broker);
  void Freeze(HostId host, int64_t frozen_us);
  void CutOff(HostId host, int64_t cut_us);
  void CutOne(int64_t cut_us);
  void CutWay(HostId from, HostId to, int64_t cut_us);
  // It is replaced, or loses the ends of its logs.
  void SpoilDisk();
  void ReplaceDisk(Broker& broker, int64_t down_us);
  // Nobody knows what its process had claimed: it comes back with another disk, or with what is left of it.
  void BootWithLess(Broker& broker, int64_t down_us);
  void FillDisk(Broker& broker);
  void SlowDisk(Broker& broker);
  void JumpClock();
  void FlipBit();
  void EndLeaseEarlyOrLate();
  void KillCoordinator(Coordinator& coordinator);
  void KillMember();
  void ChangeWeather();
  void Heal();
  void ClearUp();
  // Nothing new happens but what is aimed at.
  void BeginLull(int64_t lull_us);
  bool lull() const { return loop_.now_us() < lull_until_us_; }
  bool MayWipe(BrokerId broker) const;
  // Others hold everything that this one does, and may lead in its place.
  bool MayLose(const cluster::PartitionState& state, BrokerId broker) const;
  void Count(const std::string& fault, const std::string& detail = "");

  // world_aims.cc
  void TakeAim();
  void OnProposing(Broker& leader, const cluster::TopicPartition& partition,
                   const cluster::IsrProposal& proposal);
  void OnFetching(Broker& follower, const cluster::TopicPartition& partition,
                  const cluster::ReplicaFetch& fetch, const std::function<void()>& arrive);
  void HoldJoiner(Broker& leader, const cluster::IsrProposal& proposal);
  void DeliverOldClaim();
  void OnAnswering(Broker& follower, const cluster::TopicPartition& partition,
                   const cluster::ReplicaFetchAnswer& answer, const std::function<void()>& arrive);
  void DeliverOldCut();
  void LookForUnsynced();
  bool HasFetchedUnsynced(Broker& leader, const cluster::TopicPartition& partition);
  void RestartUnsynced(Broker& leader, const cluster::TopicPartition& partition);
  void AimAtGroups();
  void CutOffGroups(int64_t cut_us);
  void CutFromCoordinators(HostId host, int64_t cut_us);

  // world_topics.cc
  cluster::ClusterMetadata FirstMetadata(int32_t broker_count);
  void AddGroupsTopic(const std::map<BrokerId, int64_t>& leads, cluster::ClusterMetadata& metadata);
  void OnMetadata();
  void OnPartitionMade(const cluster::TopicPartition& partition, LogId log);
  void OnPartitionDeleted(const cluster::TopicPartition& partition);

  // world_invariants.cc
  void Touched(Broker& broker, const cluster::TopicPartition& partition);
  void CheckReplica(Broker& broker, const cluster::TopicPartition& partition);
  Offset CommittedEnd(const cluster::TopicPartition& partition);
  void CheckCommitted(Broker& leader, const cluster::TopicPartition& partition);
  // Of ISR and ELR those that have everything below `end`; that another has not is a violation.
  std::vector<BrokerId> HoldersUpTo(const cluster::TopicPartition& partition, Offset end);
  void CheckHolders(const cluster::TopicPartition& partition);
  void ClearSuspects();
  // Whether something of the log from its start on cannot be read.
  bool IsDamaged(Broker& broker, const cluster::TopicPartition& partition) const;
  void ClearDamaged();
  void CheckGrace(const cluster::TopicPartition& partition, const cluster::PartitionState& before);
  std::vector<CommittedBatch> Below(Broker& broker, const cluster::TopicPartition& partition, Offset from,
                                    Offset end);
  // world_compaction.cc: the same of a partition whose replicas drop records, each for itself.
  void CheckCompactedLeader(Broker& leader, const cluster::TopicPartition& partition);
  void CheckCompactedHolders(const cluster::TopicPartition& partition);
  void CheckCompacted(Broker& holder, const cluster::TopicPartition& partition, Offset end, bool leads);

  // Of a topic that was made for a disk that was not there any more nobody may lead a partition; then it is
  // deleted, as its operator would. Whether there is one.
  bool DeleteStillborn();
  // Why the cluster is not as it should be when all is well; "": it is.
  std::string Unsettled();
  std::string UnsettledPartition(const cluster::TopicPartition& partition);
  PollResult ReadAll(const cluster::TopicPartition& partition);
  void Drain();

  void Fail(const std::string& what);
  LogInfo InfoOf(const Broker& broker, const cluster::TopicPartition& partition) const {
    // A log that is not made yet, or was lost, is empty.
    return broker.store().Info(logs_.at(partition)).value_or(LogInfo{});
  }
  Broker& broker(BrokerId id) { return *brokers_[static_cast<size_t>(id.value()) - 1]; }

  const WorldOptions options_;
  Random random_;
  Loop loop_;
  Network network_;
  Checker checker_;
  std::set<cluster::TopicPartition> partitions_;   // that there are now
  std::set<cluster::TopicPartition> served_;       // those of them that are clients'
  std::map<cluster::TopicPartition, LogId> logs_;  // also of those that were
  std::map<cluster::TopicPartition, TopicPolicy> policies_;
  std::unique_ptr<MetadataStore> store_;
  HostId store_host_ = 0;
  std::vector<std::unique_ptr<Coordinator>> coordinators_;
  std::vector<std::unique_ptr<Broker>> brokers_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::unique_ptr<IdempotentProducer>> producers_;
  std::unique_ptr<TopicAdmin> admin_;
  const cluster::TopicPartition groups_partition_{MakeTopicId(kGroupsTopic), 0};
  GroupHistory group_history_{checker_};
  std::vector<std::unique_ptr<GroupHost>> group_hosts_;
  std::vector<std::unique_ptr<GroupMember>> members_;
  std::map<cluster::GroupPartition, int64_t> group_ends_;  // of what its members share out
  const Aimed aimed_;
  std::optional<Aim> aim_;
  struct OldClaim {
    BrokerId follower;
    cluster::TopicPartition partition;
    LeaderEpoch leader_epoch;
    Offset end;
    std::function<void()> arrive;
  };
  std::optional<OldClaim> old_claim_;  // what a process has said that has ended since
  struct OldCut {
    BrokerId follower;
    uint64_t life = 0;
    cluster::TopicPartition partition;
    LeaderEpoch leader_epoch;
    Offset end;
    std::function<void()> arrive;
    bool cut = false;
  };
  std::optional<OldCut> old_cut_;
  uint64_t next_session_ = 0;
  int64_t next_value_ = 1;
  bool stormy_ = true;
  int64_t lull_until_us_ = 0;  // within the storm

  FaultCounts faults_;
  // Copies on disks that were replaced, and that were not taken into the ISR since.
  std::set<std::pair<BrokerId, cluster::TopicPartition>> suspects_;
  std::set<std::pair<BrokerId, cluster::TopicPartition>> damaged_;  // and not copied anew
  // Partitions that were made while the coordinator knew of another disk than one of their brokers had.
  std::set<cluster::TopicPartition> stillborn_;
  std::map<cluster::TopicPartition, std::vector<CommittedBatch>> committed_;
  // Up to where the log of one that leads was looked at, in which epoch of which process.
  struct Verified {
    uint64_t life = 0;
    LeaderEpoch leader_epoch;
    Offset end;
  };
  std::map<std::pair<BrokerId, cluster::TopicPartition>, Verified> verified_;
  // Of compacted partitions.
  struct CommittedValues {
    std::map<Offset, int64_t> values;
    std::map<int64_t, Offset> newest;  // of each key
    Offset end;
  };
  std::map<cluster::TopicPartition, CommittedValues> committed_values_;
  std::set<std::pair<BrokerId, cluster::TopicPartition>> touched_;
  bool metadata_changed_ = false;
  cluster::PartitionStates noted_;
  std::map<cluster::TopicPartition, int64_t> elected_us_;  // when its leader epoch began
};

}  // namespace naru::sim
