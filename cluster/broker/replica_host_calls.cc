// What calls ask of the replicas that this broker leads, and how they are answered.
#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "cluster/broker/certain.h"
#include "cluster/broker/replica_host.h"
#include "storage/base/status.h"
#include "storage/log/log_state.h"

namespace naru::cluster {
namespace {

absl::Status NoLeaderHere() {
  return MakeError(Reason::kNoLeader, "this broker does not lead the partition; nothing was done; try again");
}

}  // namespace

// Rule 14.
absl::Status LeaderChanged() {
  return MakeError(Reason::kLeaderChanged,
                   "the partition has another leader now, and nobody knows whether the records were kept; "
                   "read them back, or send them again as an idempotent producer");
}

void ReplicaHost::Settle(HostedReplica& part) {
  const PartitionLeader* leader = part.replica->leader();
  const LeaderEpoch epoch = part.replica->leader_epoch();
  std::optional<LogFront> front;
  if (leader != nullptr) {
    front = LogFront{.leader_epoch = epoch,
                     .high_watermark = leader->high_watermark(),
                     .knows_end = leader->knows_high_watermark(),
                     .alone = leader->state().replicas.size() == 1,
                     .may_commit = leader->may_commit()};
  }
  // Before it is answered, so that who reads after an ack sees the record.
  fronts_.Set(part.log, front, part.replica->high_watermark());
  if (leader == nullptr && !part.confirmations.empty()) SettleConfirmations(part);
  for (auto at = part.appends.begin(); at != part.appends.end();) {
    HostedReplica::WaitingAppend& append = at->second;
    if (leader == nullptr || append.leader_epoch != epoch) {
      append.done(LeaderChanged());
    } else if (at->first <= leader->high_watermark()) {
      append.done(append.appended);
    } else {
      break;  // of this epoch, as all that follow, or they are answered when the epoch ends
    }
    at = part.appends.erase(at);
  }
  std::erase_if(part.moves, [&](HostedReplica::WaitingMove& move) {
    if (leader == nullptr || move.leader_epoch != epoch) {
      move.done(LeaderChanged());
    } else if (leader->deleted_below(part.view->Positions()) >= move.below) {
      move.done(absl::OkStatus());
    } else {
      return false;
    }
    return true;
  });
}

void ReplicaHost::Commit(LogId log, LeaderEpoch epoch, Appended appended, LogStore::AppendDone done) {
  Certain<absl::StatusOr<Appended>> certain(std::move(done), LeaderChanged());
  loop_.Post([this, log, epoch, appended, done = std::move(certain)]() mutable {
    HostedReplica* part = stopped_ ? nullptr : Find(log);
    if (part == nullptr || part->replica == nullptr || part->replica->leader() == nullptr ||
        part->replica->leader_epoch() != epoch) {
      return done(LeaderChanged());
    }
    part->appends.emplace(appended.next_offset,
                          HostedReplica::WaitingAppend{epoch, appended, std::move(done)});
    OnDurable(*part);
  });
}

void ReplicaHost::OnWritten(LogId log) {
  loop_.Post([this, log] {
    HostedReplica* part = stopped_ ? nullptr : Find(log);
    if (part != nullptr && part->replica != nullptr) OnDurable(*part);
  });
}

void ReplicaHost::MoveStart(LogId log, Offset start, LogStore::Done done) {
  Certain<absl::Status> certain(std::move(done), NoLeaderHere());
  loop_.Post([this, log, start, done = std::move(certain)]() mutable {
    HostedReplica* part = stopped_ ? nullptr : Find(log);
    const PartitionLeader* leader =
        part != nullptr && part->replica != nullptr ? part->replica->leader() : nullptr;
    if (leader == nullptr) return done(NoLeaderHere());
    if (start > leader->high_watermark()) {
      return done(OffsetOutOfRange("log_start_offset", start, part->view->Positions().start,
                                   leader->high_watermark()));
    }
    part->moves.push_back({part->replica->leader_epoch(), start, std::move(done)});
    MoveStart(*part, start);
  });
}

void ReplicaHost::Confirm(LogId log, LeaderEpoch epoch, absl::AnyInvocable<void(bool)> done) {
  Certain<bool> certain(std::move(done), false);
  loop_.Post([this, log, epoch, done = std::move(certain)]() mutable {
    HostedReplica* part = stopped_ ? nullptr : Find(log);
    const PartitionLeader* leader =
        part != nullptr && part->replica != nullptr ? part->replica->leader() : nullptr;
    if (leader == nullptr || leader->state().leader_epoch != epoch) return done(false);
    const uint64_t question = part->confirmations.Ask(
        *leader, [&](BrokerId follower) { return leaders_.AnswerNow(*part, follower); }, loop_.NowMs());
    part->confirming.emplace(question, std::move(done));
    SettleConfirmations(*part);
  });
}

bool ReplicaHost::OnDamaged(HostedReplica& part, const absl::Status& what) {
  const PartitionState& state = part.replica->state();
  if (damaged_.insert(part.log).second) {
    events_.Write(Severity::kError, "replica_damaged",
                  {{"log", part.log.value()},
                   {"leader_epoch", state.leader_epoch.value()},
                   {"error", what.ToString()}});
  }
  Do(part, part.replica->OnDamaged(loop_.NowMs()));
  const auto others = [this](const std::set<BrokerId>& members) {
    return std::any_of(members.begin(), members.end(),
                       [this](BrokerId member) { return member != self_ && unfenced_.contains(member); });
  };
  return others(state.isr) || others(state.elr);
}

void ReplicaHost::Damaged(LogId log, const absl::Status& what, absl::AnyInvocable<void(bool)> done) {
  Certain<bool> certain(std::move(done), false);
  loop_.Post([this, log, what, done = std::move(certain)]() mutable {
    HostedReplica* part = stopped_ ? nullptr : Find(log);
    done(part != nullptr && part->replica != nullptr && OnDamaged(*part, what));
  });
}

void ReplicaHost::OnFollowerHeard(HostedReplica& part, BrokerId follower) {
  if (part.confirmations.empty()) return;
  if (part.confirmations.OnFetch(follower)) leaders_.AnswerNow(part, follower);
  SettleConfirmations(part);
}

void ReplicaHost::SettleConfirmations(HostedReplica& part) {
  std::vector<std::pair<absl::AnyInvocable<void(bool)>, bool>> settled;
  for (const auto& [question, leads] : part.confirmations.Settle(part.replica->leader(), loop_.NowMs())) {
    settled.emplace_back(std::move(part.confirming.extract(question).mapped()), leads);
  }
  for (auto& [done, leads] : settled) done(leads);
}

}  // namespace naru::cluster
