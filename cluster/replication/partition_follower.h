// A follower's side of one leader epoch: brings its log to be a prefix of the leader's, then copies. A state
// machine without IO, clocks or threads.
#pragma once

#include <optional>

#include "cluster/replication/log_view.h"
#include "cluster/replication/partition_state.h"
#include "cluster/replication/replication_event.h"
#include "cluster/replication/replication_rules.h"

namespace naru::cluster {

class PartitionFollower {
 public:
  PartitionFollower(BrokerId self, BrokerEpoch self_epoch, const ReplicationRules& rules, BrokerId leader,
                    LeaderEpoch leader_epoch, Offset high_watermark);

  BrokerId leader() const { return leader_; }
  LeaderEpoch leader_epoch() const { return leader_epoch_; }
  // Below it everything is committed, and here.
  Offset high_watermark() const { return high_watermark_; }
  // The fetch to send next; nothing while the log is being cut.
  std::optional<ReplicaFetch> NextFetch(const LogView& log) const;

  // An answer to one of them. Answers that came too late change nothing.
  void OnAnswer(const ReplicaFetchAnswer& answer, const LogView& log, ReplicaEffects& effects);
  // A cut is being made that was not asked for here.
  void AwaitCut() { cutting_ = true; }
  // The cut asked for last is made, in memory at least.
  void OnTruncated(const LogView& log);
  void OnDurable(const LogView& log) { Settle(log); }

 private:
  Offset CommonEnd(const ReplicaFetchAnswer& answer, const LogView& log) const;
  void Settle(const LogView& log);

  const BrokerId self_;
  const BrokerEpoch self_epoch_;
  const ReplicationRules rules_;
  const BrokerId leader_;
  const LeaderEpoch leader_epoch_;
  Offset high_watermark_;
  Offset leader_high_watermark_;
  bool cutting_ = false;
  bool agreed_ = false;  // this log is a prefix of the leader's
};

}  // namespace naru::cluster
