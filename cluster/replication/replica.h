// One replica of one partition: leader, follower, or waiting for the coordinator to say which. It turns what
// the coordinator assigns, what other replicas send and what its log reports into what is to be done, and
// does nothing itself: no IO, clocks, threads or randomness; its driver carries out the effects in their
// order. The simulator drives the same class as production. Thread-unsafe.
//
// What it is built on: Kafka's replication with leader epochs (KIP-101, KIP-279, KIP-320), ISR changes by
// compare-and-swap (KIP-497, KIP-903) and eligible leader replicas (KIP-966). The rules are in
// docs/replication.md.
#pragma once

#include <cstdint>
#include <optional>

#include "cluster/replication/log_view.h"
#include "cluster/replication/partition_follower.h"
#include "cluster/replication/partition_leader.h"
#include "cluster/replication/partition_state.h"
#include "cluster/replication/replication_event.h"
#include "cluster/replication/replication_rules.h"

namespace naru::cluster {

class Replica {
 public:
  enum class Role {
    kIdle,      // no leader is known, or this broker holds no copy
    kStarting,  // it is to lead, and the log is told so
    kLeader,
    kFollower,
  };

  // Of one process: `self_epoch` is its registration. `rules` outlives it.
  Replica(BrokerId self, BrokerEpoch self_epoch, const ReplicationOptions& options,
          const ReplicationRules& rules)
      : self_(self), self_epoch_(self_epoch), options_(options), rules_(rules) {}

  Role role() const { return role_; }
  // As the coordinator last said; also of the effects that are under way.
  const PartitionState& state() const { return state_; }
  LeaderEpoch leader_epoch() const { return state_.leader_epoch; }
  // 0 while nothing is known.
  Offset high_watermark() const;
  // Not null while role() is kLeader, kFollower.
  const PartitionLeader* leader() const { return leader_ ? &*leader_ : nullptr; }
  const PartitionFollower* follower() const { return follower_ ? &*follower_ : nullptr; }

  // A state that is not newer than the one known changes nothing, nor does one from before this process was
  // registered (`version`: that of the metadata): it may name as leader the process before this one.
  ReplicaEffects OnAssigned(const PartitionState& state, int64_t version, const LogView& log, int64_t now_ms);
  // BeginEpoch is done, durably.
  ReplicaEffects OnEpochBegun(LeaderEpoch epoch, const LogView& log, int64_t now_ms);
  // TruncateLog or ResetLog, asked for in this leader epoch, has taken effect.
  void OnTruncated(LeaderEpoch epoch, const LogView& log);
  // The log's durable end has moved.
  void OnDurable(const LogView& log);
  // Something in the log fails its checksum (rule 21). Said to the coordinator again and again until it has
  // taken this replica out of ISR and ELR, if others are there to go on; then the log is emptied and copied
  // anew. Until then the replica goes on as it is: it may have the only copy.
  ReplicaEffects OnDamaged(int64_t now_ms);
  bool damaged() const { return damaged_; }
  ReplicaEffects Tick(const LogView& log, int64_t now_ms);

  // The leader's.
  ReplicaFetchAnswer OnFetch(const ReplicaFetch& fetch, const LogView& log, int64_t now_ms,
                             ReplicaEffects& effects);
  void OnIsrAnswer(int64_t attempt, IsrOutcome outcome, int64_t now_ms);

  // The follower's.
  std::optional<ReplicaFetch> NextFetch(const LogView& log) const;
  ReplicaEffects OnFetchAnswer(const ReplicaFetchAnswer& answer, const LogView& log);

 private:
  ReplicaEffects Empty();

  const BrokerId self_;
  const BrokerEpoch self_epoch_;
  const ReplicationOptions options_;
  const ReplicationRules& rules_;

  Role role_ = Role::kIdle;
  PartitionState state_;
  bool assigned_ = false;
  Offset high_watermark_;  // as of the role before
  bool damaged_ = false;
  bool emptying_ = false;  // because of that
  int64_t damage_said_ms_ = 0;
  std::optional<PartitionLeader> leader_;
  std::optional<PartitionFollower> follower_;
};

}  // namespace naru::cluster
