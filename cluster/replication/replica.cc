#include "cluster/replication/replica.h"

#include <utility>

namespace naru::cluster {

Offset Replica::high_watermark() const {
  if (leader_) return leader_->high_watermark();
  if (follower_) return follower_->high_watermark();
  return high_watermark_;
}

ReplicaEffects Replica::OnAssigned(const PartitionState& state, int64_t version, const LogView& log,
                                   int64_t now_ms) {
  // Rule 10. A coordinator that does not know yet that it is deposed may be far behind.
  if (version < self_epoch_.value() && rules_.ignore_states_before_registration) return {};
  if (assigned_ && state.epoch <= state_.epoch) return {};
  const bool same_epoch = assigned_ && state.leader_epoch == state_.leader_epoch;
  assigned_ = true;
  state_ = state;
  if (same_epoch) {
    if (leader_) leader_->Update(state, log, now_ms);
    return {};
  }
  high_watermark_ = high_watermark();
  leader_.reset();
  follower_.reset();
  role_ = Role::kIdle;
  if (!state.Holds(self_) || state.leader == kNoBroker) return {};
  if (state.leader == self_) {
    role_ = Role::kStarting;
    return {BeginEpoch{state.leader_epoch}};
  }
  role_ = Role::kFollower;
  follower_.emplace(self_, self_epoch_, rules_, state.leader, state.leader_epoch, high_watermark_);
  emptying_ = false;
  // Rule 21. In this epoch nothing was claimed yet, so whoever takes this replica into the ISR again does so
  // for what it holds afterwards.
  const bool out = !state.isr.contains(self_) && !state.elr.contains(self_);
  if (damaged_ && out) return Empty();
  return {};
}

ReplicaEffects Replica::Empty() {
  emptying_ = true;
  follower_->AwaitCut();
  return {ResetLog{Offset(0), {}}};
}

ReplicaEffects Replica::OnDamaged(int64_t now_ms) {
  if (damaged_ || !assigned_ || !state_.Holds(self_)) return {};
  damaged_ = true;
  damage_said_ms_ = now_ms;
  if (follower_ && !rules_.empty_damaged_copy_when_out) return Empty();
  return {ReportDamage{state_.leader_epoch}};
}

ReplicaEffects Replica::OnEpochBegun(LeaderEpoch epoch, const LogView& log, int64_t now_ms) {
  if (role_ != Role::kStarting || epoch != state_.leader_epoch) return {};
  role_ = Role::kLeader;
  leader_.emplace(self_, self_epoch_, options_, rules_, state_, high_watermark_, log.Positions(), now_ms);
  return Tick(log, now_ms);
}

void Replica::OnTruncated(LeaderEpoch epoch, const LogView& log) {
  if (!follower_ || epoch != state_.leader_epoch) return;
  if (std::exchange(emptying_, false)) damaged_ = false;
  follower_->OnTruncated(log);
}

void Replica::OnDurable(const LogView& log) {
  if (leader_) leader_->OnDurable(log);
  if (follower_) follower_->OnDurable(log);
}

ReplicaEffects Replica::Tick(const LogView& log, int64_t now_ms) {
  ReplicaEffects effects;
  if (leader_) leader_->Tick(log, now_ms, effects);
  if (damaged_ && !emptying_ && now_ms - damage_said_ms_ >= options_.damage_report_ms) {
    damage_said_ms_ = now_ms;
    effects.emplace_back(ReportDamage{state_.leader_epoch});
  }
  return effects;
}

ReplicaFetchAnswer Replica::OnFetch(const ReplicaFetch& fetch, const LogView& log, int64_t now_ms,
                                    ReplicaEffects& effects) {
  if (leader_) return leader_->OnFetch(fetch, log, now_ms, effects);
  ReplicaFetchAnswer refused;
  refused.leader_epoch = state_.leader_epoch;
  refused.offset = fetch.offset;
  return refused;
}

void Replica::OnIsrAnswer(int64_t attempt, IsrOutcome outcome, int64_t now_ms) {
  if (leader_) leader_->OnIsrAnswer(attempt, outcome, now_ms);
}

std::optional<ReplicaFetch> Replica::NextFetch(const LogView& log) const {
  return follower_ ? follower_->NextFetch(log) : std::nullopt;
}

ReplicaEffects Replica::OnFetchAnswer(const ReplicaFetchAnswer& answer, const LogView& log) {
  ReplicaEffects effects;
  if (follower_) follower_->OnAnswer(answer, log, effects);
  return effects;
}

}  // namespace naru::cluster
