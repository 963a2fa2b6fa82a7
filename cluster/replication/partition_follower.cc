#include "cluster/replication/partition_follower.h"

#include <algorithm>

namespace naru::cluster {

PartitionFollower::PartitionFollower(BrokerId self, BrokerEpoch self_epoch, const ReplicationRules& rules,
                                     BrokerId leader, LeaderEpoch leader_epoch, Offset high_watermark)
    : self_(self),
      self_epoch_(self_epoch),
      rules_(rules),
      leader_(leader),
      leader_epoch_(leader_epoch),
      high_watermark_(high_watermark),
      leader_high_watermark_(high_watermark) {}

std::optional<ReplicaFetch> PartitionFollower::NextFetch(const LogView& log) const {
  if (cutting_) return std::nullopt;
  const LogPositions at = log.Positions();
  return ReplicaFetch{.follower = self_,
                      .broker_epoch = self_epoch_,
                      .leader_epoch = leader_epoch_,
                      .last_fetched_epoch = log.LastEpoch(),
                      .offset = at.end,
                      .durable_end = at.durable_end,
                      .durable_start = at.durable_start};
}

Offset PartitionFollower::CommonEnd(const ReplicaFetchAnswer& answer, const LogView& log) const {
  if (!rules_.truncate_by_epoch) return high_watermark_;
  // Rule 2: the leader's greatest epoch up to the asked one may be one that this log does not have; then both
  // part where this log's epoch before it ends (KIP-279).
  const EpochEnd own = log.EndOffsetForEpoch(answer.epoch_end.epoch);
  return rules_.truncate_to_common_epoch ? std::min(answer.epoch_end.end, own.end) : answer.epoch_end.end;
}

void PartitionFollower::OnAnswer(const ReplicaFetchAnswer& answer, const LogView& log,
                                 ReplicaEffects& effects) {
  using Kind = ReplicaFetchAnswer::Kind;
  const LogPositions at = log.Positions();
  if (cutting_ || answer.kind == Kind::kRefused) return;
  if (rules_.check_fetch_epochs && (answer.leader_epoch != leader_epoch_ || answer.offset != at.end)) return;
  // Rule 2: from the first batches on this log is a prefix of the leader's, which does not change within an
  // epoch. Whatever says otherwise was overtaken; but the leader knows no epochs of what it has deleted, and
  // that may be all there is here.
  const bool all_deleted = answer.nothing_common() && answer.log_start >= at.end;
  const bool cuts = (answer.kind == Kind::kDiverging && !all_deleted) ||
                    (answer.kind == Kind::kOutOfRange && answer.log_start <= answer.offset);
  if (agreed_ && cuts && rules_.cut_before_agreement_only) return;
  agreed_ = agreed_ || answer.kind == Kind::kBatches;
  // Rule 3: the leader's high watermark says nothing of a log that is not a prefix of the leader's.
  if (answer.kind == Kind::kBatches || !rules_.truncate_before_high_watermark) {
    leader_high_watermark_ = std::max(leader_high_watermark_, answer.high_watermark);
  }
  if (answer.kind == Kind::kOutOfRange || answer.nothing_common()) {
    cutting_ = true;
    effects.emplace_back(ResetLog{answer.log_start, answer.producers});
  } else if (answer.kind == Kind::kDiverging) {
    const Offset end = std::min(CommonEnd(answer, log), at.end);
    if (rules_.truncate_before_high_watermark) {
      high_watermark_ = std::min(high_watermark_, end);
    } else {
      Settle(log);
    }
    cutting_ = true;
    effects.emplace_back(TruncateLog{end});
  } else {
    effects.emplace_back(AppendFetched{});
    if (answer.log_start > at.start) effects.emplace_back(MoveLogStart{answer.log_start});
  }
}

void PartitionFollower::OnTruncated(const LogView& log) {
  cutting_ = false;
  const LogPositions at = log.Positions();
  if (rules_.truncate_before_high_watermark) high_watermark_ = std::min(high_watermark_, at.end);
  // Rule 5: a log that was emptied begins higher than anything known of it before.
  if (rules_.reset_raises_high_watermark) high_watermark_ = std::max(high_watermark_, at.start);
  Settle(log);
}

void PartitionFollower::Settle(const LogView& log) {
  high_watermark_ = std::max(high_watermark_, std::min(leader_high_watermark_, log.Positions().durable_end));
}

}  // namespace naru::cluster
