// What a partition's leader knows of its followers, and what follows from it: how far records are committed
// (the high watermark), and who is in sync. A state machine without IO, clocks or threads, of one leader
// epoch.
//
// Comments "rule N" refer to docs/replication.md.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>

#include "cluster/replication/log_view.h"
#include "cluster/replication/partition_state.h"
#include "cluster/replication/replication_event.h"
#include "cluster/replication/replication_rules.h"

namespace naru::cluster {

struct ReplicationOptions {
  // A follower that has not had everything for so long leaves the ISR, milliseconds. At least 1.
  int64_t lag_ms_max = 10'000;
  // A proposal without an answer is sent again after so long; after a refusal the next one waits as long,
  // milliseconds. At least 1.
  int64_t proposal_retry_ms = 1'000;
  // How often the coordinator is told of a damaged copy, milliseconds. At least 1.
  int64_t damage_report_ms = 1'000;
};

class PartitionLeader {
 public:
  struct Follower {
    BrokerEpoch broker_epoch{-1};
    bool fetched = false;  // in this leader epoch, by this process of it, and with a log that fits
    Offset durable_end;    // its claim; none before it fetched
    Offset durable_start;
    int64_t caught_up_ms = 0;  // when it was last known to have everything
    int64_t fetch_ms = 0;      // when it fetched last, and what there was then
    Offset durable_end_at_fetch;
  };

  // `state` names `self` the leader, and its epoch was begun with the log at `at`; `high_watermark` is what
  // this broker knew before.
  PartitionLeader(BrokerId self, BrokerEpoch self_epoch, const ReplicationOptions& options,
                  const ReplicationRules& rules, PartitionState state, Offset high_watermark,
                  const LogPositions& at, int64_t now_ms);

  // A newer state of the same leader epoch.
  void Update(PartitionState state, const LogView& log, int64_t now_ms);
  ReplicaFetchAnswer OnFetch(const ReplicaFetch& fetch, const LogView& log, int64_t now_ms,
                             ReplicaEffects& effects);
  // The log's durable end has moved.
  void OnDurable(const LogView& log) { Commit(log); }
  void OnIsrAnswer(int64_t attempt, IsrOutcome outcome, int64_t now_ms);
  // Looks for followers that lag, and sends again what was not answered. About every lag_ms_max / 4.
  void Tick(const LogView& log, int64_t now_ms, ReplicaEffects& effects);

  const PartitionState& state() const { return state_; }
  // Everything below is committed: it survives as long as one member of the ISR does.
  Offset high_watermark() const { return high_watermark_; }
  // The high watermark may have been higher under the leader before as long as this is false (rule 11).
  bool knows_high_watermark() const {
    return high_watermark_ >= election_end_ || !rules_.hide_high_watermark_until_election_end;
  }
  // Whether an append can be committed now; if not, it must not be made for acks=all.
  bool may_commit() const { return state_.enough_in_sync(); }
  // Who may be in the ISR as the coordinator has it (rule 7).
  std::set<BrokerId> MaximalIsr() const;
  // Of the others, whoever leads after this one is one of these. Nobody where rule 20 does not hold.
  std::set<BrokerId> MayLeadNext() const;
  // Below this everything is gone for good, with the log at `at`: on all who may lead after this (rule 17).
  Offset deleted_below(const LogPositions& at) const;
  const std::map<BrokerId, Follower>& followers() const { return followers_; }

 private:
  struct Proposal {
    // Each member in the process that may join, whoever speaks for the broker when it is sent again: another
    // process of it may hold less.
    std::map<BrokerId, BrokerEpoch> isr;
    int64_t attempt = 0;  // of the copy sent last
    int64_t sent_ms = 0;
    bool copies = false;  // it is not the only one
  };

  void HandOverProducers(const LogView& log, ReplicaFetchAnswer& answer) const;
  void Claim(Follower& follower, const ReplicaFetch& fetch, const LogPositions& at, int64_t now_ms) const;
  void Commit(const LogView& log);
  bool Lags(const Follower& follower, const LogPositions& at, int64_t now_ms) const;
  bool MayJoin(const Follower& follower, const LogPositions& at) const;
  void MaybePropose(const LogPositions& at, int64_t now_ms, ReplicaEffects& effects);
  void Send(int64_t now_ms, ReplicaEffects& effects);

  const BrokerId self_;
  const BrokerEpoch self_epoch_;
  const ReplicationOptions options_;
  const ReplicationRules rules_;
  PartitionState state_;
  Offset high_watermark_;
  const Offset election_end_;  // the log's end when this epoch began
  std::map<BrokerId, Follower> followers_;

  std::optional<Proposal> proposal_;
  // Members, this broker among them, of proposals of the present partition epoch that were given up and may
  // yet be carried out.
  std::set<BrokerId> uncertain_;
  int64_t last_attempt_ = 0;
  int64_t propose_after_ms_ = INT64_MIN;
};

}  // namespace naru::cluster
