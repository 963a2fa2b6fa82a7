#include "cluster/replication/partition_leader.h"

#include <algorithm>
#include <utility>

#include "storage/base/check.h"
#include "storage/log/producer_table.h"

namespace naru::cluster {

PartitionLeader::PartitionLeader(BrokerId self, BrokerEpoch self_epoch, const ReplicationOptions& options,
                                 const ReplicationRules& rules, PartitionState state, Offset high_watermark,
                                 const LogPositions& at, int64_t now_ms)
    : self_(self),
      self_epoch_(self_epoch),
      options_(options),
      rules_(rules),
      state_(std::move(state)),
      high_watermark_(rules.reset_raises_high_watermark ? std::max(high_watermark, at.start)
                                                        : high_watermark),
      election_end_(at.end) {
  NARU_CHECK(state_.leader == self_);
  for (const BrokerId broker : state_.replicas) {
    if (broker == self_) continue;
    // Rule 11: nobody lags yet; nobody has had the time to fetch.
    followers_[broker].caught_up_ms = rules_.grace_after_election ? now_ms : now_ms - options_.lag_ms_max - 1;
  }
}

void PartitionLeader::Update(PartitionState state, const LogView& log, int64_t now_ms) {
  NARU_CHECK(state.leader_epoch == state_.leader_epoch && state.epoch > state_.epoch);
  state_ = std::move(state);
  proposal_.reset();
  uncertain_.clear();
  for (auto at = followers_.begin(); at != followers_.end();) {
    at = state_.Holds(at->first) ? std::next(at) : followers_.erase(at);
  }
  for (const BrokerId broker : state_.replicas) {
    if (broker == self_ || followers_.contains(broker)) continue;
    followers_[broker].caught_up_ms = now_ms;
  }
  Commit(log);
}

std::set<BrokerId> PartitionLeader::MaximalIsr() const {
  std::set<BrokerId> isr = state_.isr;
  if (proposal_) {
    for (const auto& [broker, epoch] : proposal_->isr) isr.insert(broker);
  }
  isr.insert(uncertain_.begin(), uncertain_.end());
  return isr;
}

std::set<BrokerId> PartitionLeader::MayLeadNext() const {
  if (!rules_.confirm_before_refusing) return {};
  std::set<BrokerId> next = MaximalIsr();
  next.insert(state_.elr.begin(), state_.elr.end());
  next.erase(self_);
  return next;
}

Offset PartitionLeader::deleted_below(const LogPositions& at) const {
  Offset start = at.durable_start;
  if (!rules_.delete_on_all_in_sync) return start;
  // Those who are eligible have not heard of it.
  if (!state_.enough_in_sync()) return Offset(0);
  for (const BrokerId broker : MaximalIsr()) {
    if (broker == self_) continue;
    const auto follower = followers_.find(broker);
    if (follower == followers_.end() || !follower->second.fetched) return Offset(0);
    start = std::min(start, follower->second.durable_start);
  }
  return start;
}

ReplicaFetchAnswer PartitionLeader::OnFetch(const ReplicaFetch& fetch, const LogView& log, int64_t now_ms,
                                            ReplicaEffects& effects) {
  ReplicaFetchAnswer answer;
  answer.leader_epoch = state_.leader_epoch;
  answer.offset = fetch.offset;
  answer.high_watermark = high_watermark_;
  const auto found = followers_.find(fetch.follower);
  if (found == followers_.end()) return answer;
  Follower& follower = found->second;
  // Rule 1: whoever follows another epoch has a log that nothing is known of, and a process that has ended
  // speaks for nobody.
  if (rules_.check_fetch_epochs && fetch.leader_epoch != state_.leader_epoch) return answer;
  if (fetch.broker_epoch < follower.broker_epoch && rules_.check_broker_epoch) return answer;

  const LogPositions at = log.Positions();
  answer.log_start = at.start;
  const bool empty = fetch.last_fetched_epoch < LeaderEpoch(0);
  if (fetch.offset < at.start || (empty && fetch.offset > at.end)) {
    answer.kind = ReplicaFetchAnswer::Kind::kOutOfRange;
    HandOverProducers(log, answer);
    return answer;
  }
  if (!empty && rules_.check_fetch_epochs) {
    // Rule 2: up to where both logs have the same batches of the follower's last epoch.
    answer.epoch_end = log.EndOffsetForEpoch(fetch.last_fetched_epoch);
    if (answer.epoch_end.epoch != fetch.last_fetched_epoch || answer.epoch_end.end < fetch.offset) {
      answer.kind = ReplicaFetchAnswer::Kind::kDiverging;
      if (answer.nothing_common()) HandOverProducers(log, answer);
      return answer;
    }
  }
  Claim(follower, fetch, at, now_ms);
  Commit(log);
  MaybePropose(at, now_ms, effects);
  answer.kind = ReplicaFetchAnswer::Kind::kBatches;
  answer.high_watermark = high_watermark_;
  return answer;
}

void PartitionLeader::HandOverProducers(const LogView& log, ReplicaFetchAnswer& answer) const {
  // Rule 22. The start was looked at before: nothing below it is missing from what is known now.
  if (rules_.hand_over_producers) answer.producers = ProducersBefore(log.Producers(), answer.log_start);
}

void PartitionLeader::Claim(Follower& follower, const ReplicaFetch& fetch, const LogPositions& at,
                            int64_t now_ms) const {
  if (fetch.broker_epoch != follower.broker_epoch) {
    // Another process: what the one before it held is not vouched for any more.
    follower.broker_epoch = fetch.broker_epoch;
    follower.fetched = false;
    follower.durable_end = Offset(0);
    follower.durable_start = Offset(0);
  }
  // Rule 18.
  const Offset claim = rules_.claim_durable_only ? std::min(fetch.durable_end, fetch.offset) : fetch.offset;
  // A fetch that was overtaken by a later one takes nothing back: within an epoch its log only grows.
  follower.durable_end = std::max(follower.durable_end, claim);
  follower.durable_start = std::max(follower.durable_start, fetch.durable_start);
  if (follower.durable_end >= at.durable_end) {
    follower.caught_up_ms = now_ms;
  } else if (follower.fetched && follower.durable_end >= follower.durable_end_at_fetch) {
    follower.caught_up_ms = std::max(follower.caught_up_ms, follower.fetch_ms);
  }
  follower.fetched = true;
  follower.fetch_ms = now_ms;
  follower.durable_end_at_fetch = at.durable_end;
}

void PartitionLeader::Commit(const LogView& log) {
  // Rule 6: with fewer in sync than asked for nothing is committed; that is what makes those who left before
  // eligible. Rule 19: who is cut off hears of nobody's disk, and commits nothing.
  if (rules_.commit_with_min_isr_only && !state_.enough_in_sync()) return;
  Offset committed = log.Positions().durable_end;
  for (const BrokerId broker : rules_.wait_for_maximal_isr ? MaximalIsr() : state_.isr) {
    if (broker == self_) continue;
    const auto follower = followers_.find(broker);
    if (follower == followers_.end() || !follower->second.fetched) return;
    committed = std::min(committed, follower->second.durable_end);
  }
  high_watermark_ = std::max(high_watermark_, committed);
}

bool PartitionLeader::Lags(const Follower& follower, const LogPositions& at, int64_t now_ms) const {
  if (follower.fetched && follower.durable_end >= at.durable_end) return false;
  return now_ms - follower.caught_up_ms > options_.lag_ms_max;
}

bool PartitionLeader::MayJoin(const Follower& follower, const LogPositions& at) const {
  // Rule 8. Who has not fetched claims nothing, in no process that could be named.
  if (!follower.fetched) return false;
  if (follower.durable_end < high_watermark_ && rules_.expand_from_high_watermark) return false;
  // Rule 17: nor does what was deleted come back with it.
  if (follower.durable_start < deleted_below(at) && rules_.delete_on_all_in_sync) return false;
  return follower.durable_end >= election_end_ || !rules_.expand_from_election_end;
}

void PartitionLeader::MaybePropose(const LogPositions& at, int64_t now_ms, ReplicaEffects& effects) {
  if (proposal_ || now_ms < propose_after_ms_) return;
  std::map<BrokerId, BrokerEpoch> isr = {{self_, self_epoch_}};
  for (const auto& [broker, follower] : followers_) {
    const bool may_be_in = state_.isr.contains(broker) || MayJoin(follower, at);
    if (may_be_in && !Lags(follower, at, now_ms)) isr[broker] = follower.broker_epoch;
  }
  // Whatever was given up is settled by any change of the partition epoch, also one that changes nothing
  // else.
  const bool same = isr.size() == state_.isr.size() &&
                    std::equal(isr.begin(), isr.end(), state_.isr.begin(),
                               [](const auto& member, BrokerId broker) { return member.first == broker; });
  if (same && uncertain_.empty()) return;
  proposal_ = Proposal{.isr = std::move(isr)};
  Send(now_ms, effects);
}

void PartitionLeader::Send(int64_t now_ms, ReplicaEffects& effects) {
  proposal_->attempt = ++last_attempt_;
  proposal_->sent_ms = now_ms;
  IsrProposal proposal{.attempt = proposal_->attempt,
                       .leader_epoch = state_.leader_epoch,
                       .partition_epoch = state_.epoch,
                       .isr = proposal_->isr};
  effects.emplace_back(ProposeIsr{std::move(proposal)});
}

void PartitionLeader::OnIsrAnswer(int64_t attempt, IsrOutcome outcome, int64_t now_ms) {
  if (!proposal_ || attempt != proposal_->attempt) return;
  if (outcome == IsrOutcome::kApplied) return;  // the state that says so settles it
  if (outcome == IsrOutcome::kUnknown) {
    proposal_->copies = true;
    proposal_->sent_ms = std::min(proposal_->sent_ms, now_ms - options_.proposal_retry_ms);
    return;
  }
  // Rule 7: this copy is dead; others may be on their way, and who is in them counts until another partition
  // epoch makes them void.
  if (proposal_->copies) {
    for (const auto& [broker, epoch] : proposal_->isr) uncertain_.insert(broker);
  }
  proposal_.reset();
  propose_after_ms_ = now_ms + options_.proposal_retry_ms;
}

void PartitionLeader::Tick(const LogView& log, int64_t now_ms, ReplicaEffects& effects) {
  if (proposal_ && now_ms - proposal_->sent_ms >= options_.proposal_retry_ms) {
    proposal_->copies = true;
    Send(now_ms, effects);
  }
  MaybePropose(log.Positions(), now_ms, effects);
  Commit(log);
}

}  // namespace naru::cluster
