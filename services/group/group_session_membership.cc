// GroupSession's part towards the group: joining and resuming, what is assigned and taken, commits.
#include <utility>

#include "services/group/group_session.h"
#include "services/group/offset_commits.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::services {

void GroupSession::OnJoined(const std::string& member_id, int64_t member_epoch) {
  if (!membership_.joining() && !membership_.away()) return;
  if (membership_.OnJoined()) tell_joined_ = true;
  member_id_ = member_id;
  member_epoch_ = member_epoch;
  Go();
}

void GroupSession::OnAssigned(const std::map<Partition, std::optional<cluster::CommittedOffset>>& granted) {
  if (membership_.resuming()) {
    GoOnWith(granted);
  } else if (membership_.in_touch()) {
    for (const auto& [partition, committed] : granted) {
      Assign(partition, committed);
      if (end_) break;
    }
  }
  Go();
}

void GroupSession::GoOnWith(const std::map<Partition, std::optional<cluster::CommittedOffset>>& granted) {
  for (auto it = owned_.begin(); it != owned_.end();) {
    const Partition partition = (it++)->first;
    const bool granted_anew = granted.contains(partition) && revoking_.contains(partition);
    const bool kept = granted.contains(partition) || revoking_anew_.contains(partition);
    // What the client was told that it loses, it is told of anew should it stay.
    if (!kept || granted_anew) GiveUp(partition);
  }
  revoking_ = std::exchange(revoking_anew_, {});
  membership_.OnConfirmed();
  commits_.OnResumed();
  for (const auto& [partition, committed] : granted) {
    if (owned_.contains(partition)) continue;
    // What was acknowledged of it before is not delivered again.
    std::optional<cluster::CommittedOffset> from = committed;
    const std::optional<Offset> newest = commits_.NewestOf(partition);
    if (newest && (!from || newest->value() > from->offset)) from = {.offset = newest->value()};
    Assign(partition, from);
    if (end_) break;
  }
  ReleaseFinished();
}

void GroupSession::GiveUp(const Partition& partition) {
  const auto it = owned_.find(partition);
  const Owned& owned = it->second;
  reader_.Drop(owned.lane);
  ledger_.Drop(owned.ledger);
  by_lane_.erase(owned.lane);
  by_ledger_.erase(owned.ledger);
  if (held_ && held_->partition == partition) {
    held_.reset();
    held_commit_ = 0;
  }
  const bool told = tell_assigned_.erase(partition) == 0;
  if (told && !revoking_.contains(partition)) tell_revoking_[partition] = owned.topic;
  owned_.erase(it);
}

void GroupSession::Assign(const Partition& partition,
                          const std::optional<cluster::CommittedOffset>& committed) {
  const std::shared_ptr<const cluster::TopicInfo> topic =
      effects_.Catalog()->FindById(Bytes(partition.topic));
  // Deleted just now: it will be revoked.
  if (topic == nullptr || !FindPartition(*topic, partition.partition).ok()) return;
  if (!committed && plan_.start == naru::v1::START_POLICY_FAIL) {
    end_ =
        MakeError(Reason::kNoCommittedOffset,
                  absl::StrCat("start: nothing is committed for ", topic->name, "/", partition.partition,
                               " in group \"", plan_.group,
                               "\", and the policy is to fail; commit a position, or choose another policy"),
                  {{"topic", topic->name}, {"partition", absl::StrCat(partition.partition)}});
    return;
  }
  if (owned_.size() >= partitions_aside_) {
    if (!effects_.SetAside(LaneReader::kLaneBytes)) {
      end_ = MakeError(Reason::kTooManyInFlight, "the memory for subscriptions is used up; try again");
      return;
    }
    ++partitions_aside_;
  }
  Owned& owned = owned_[partition];
  owned.topic = topic;
  owned.log = topic->partitions[static_cast<size_t>(partition.partition)].log;
  owned.ledger = next_ledger_++;
  by_ledger_[owned.ledger] = partition;
  tell_assigned_[partition] = committed;
  if (committed) {
    Read(partition, owned, {.kind = StartPoint::Kind::kOffset, .offset = Offset(committed->offset)});
  } else {
    Read(partition, owned, StartWithout());
  }
}

StartPoint GroupSession::StartWithout() const {
  return {.kind = plan_.start == naru::v1::START_POLICY_LATEST ? StartPoint::Kind::kLatest
                                                               : StartPoint::Kind::kEarliest};
}

void GroupSession::Read(const Partition& partition, Owned& owned, const StartPoint& start) {
  owned.lane = reader_.Add({.log = owned.log, .start = start, .end = std::nullopt});
  by_lane_[owned.lane] = partition;
  // Where the end is not known there is nothing to commit.
  if (start.kind != StartPoint::Kind::kLatest || reader_.retired(owned.lane)) return;
  // Also while deliveries of before retention passed the position are not acknowledged.
  owned.least = reader_.position(owned.lane);
  // Else whoever has the partition next, with nothing committed, would begin at a later end.
  if (plan_.commit_mode != naru::v1::COMMIT_MODE_EXPLICIT) commits_.Want(partition, owned.least);
}

void GroupSession::OnRevoking(const std::set<Partition>& partitions) {
  if (!membership_.in_touch() && !membership_.resuming()) return;
  for (const Partition& partition : partitions) {
    if (membership_.resuming()) revoking_anew_.insert(partition);
    if (!revoking_.insert(partition).second) continue;  // as it was told before it lost its coordinator
    const auto it = owned_.find(partition);
    if (it == owned_.end()) continue;
    reader_.Drop(it->second.lane);
    // Who was not told of it need not be told that it goes; and what is held of it comes before.
    const bool held = held_ && held_->partition == partition;
    if (tell_assigned_.erase(partition) == 0 && !held) tell_revoking_[partition] = it->second.topic;
  }
  ReleaseFinished();
  Go();
}

void GroupSession::ReleaseFinished() {
  if (!membership_.in_touch()) return;  // when it has resumed
  release_waits_ = false;
  std::set<Partition> finished;
  for (const Partition& partition : revoking_) {
    const auto it = owned_.find(partition);
    const bool held = held_ && held_->partition == partition;
    const bool outstanding = it != owned_.end() && ledger_.outstanding(it->second.ledger) > 0;
    if (!held && !outstanding) finished.insert(partition);
  }
  if (finished.empty()) return;
  // Ahead of the release: afterwards they would be somebody else's.
  commits_.Gather();
  SendCommits();
  release_waits_ = commits_.waiting();
  if (release_waits_) return;
  for (const Partition& partition : finished) {
    revoking_.erase(partition);
    const auto it = owned_.find(partition);
    if (it == owned_.end()) continue;
    ledger_.Drop(it->second.ledger);
    by_ledger_.erase(it->second.ledger);
    by_lane_.erase(it->second.lane);
    owned_.erase(it);
  }
  effects_.Release(finished);
}

void GroupSession::OnEnded(const absl::Status& why) {
  if (end_ || finished_) membership_.End();
  if (!membership_.OnEnded(why, NowNs())) return End(why);
  revoking_anew_.clear();
  Go();
}

void GroupSession::TryAgain() {
  if (end_) return;
  if (std::optional<absl::Status> overdue = membership_.Overdue(NowNs())) {
    // From now on others may have what it owned.
    end_ = *std::move(overdue);
    return;
  }
  const std::optional<int64_t> failing_ns = commits_.failing_since_ns();
  const std::chrono::nanoseconds patience = std::chrono::milliseconds(plan_.join.session_timeout_ms);
  if (membership_.in_touch() && failing_ns && NowNs() - *failing_ns >= patience.count()) {
    end_ = commits_.failure();
    return;
  }
  if (membership_.TakeTry(NowNs())) Ask();
}

void GroupSession::Ask() {
  cluster::JoinGroup join = plan_.join;
  join.attempt.number = ++attempts_;
  if (membership_.away()) {
    join.member_id = member_id_;
    join.resumes_epoch = member_epoch_;
  }
  effects_.Join(plan_.group, join);
}

void GroupSession::SendCommits() {
  if (!membership_.in_touch()) return;
  const auto mine = [this](const Partition& partition) {
    return owned_.contains(partition) || revoking_.contains(partition);
  };
  while (std::optional<CommitQueue::Outgoing> next = commits_.TakeNext(NowNs(), mine)) {
    if (next->offsets.empty()) {
      OnCommitDone(next->number, absl::OkStatus());
      continue;
    }
    effects_.Commit(
        next->number,
        {.member_id = member_id_, .member_epoch = member_epoch_, .offsets = std::move(next->offsets)});
  }
}

void GroupSession::OnCommitted(CommitNumber number, const absl::Status& status) {
  // While it is away it may not be known what it owns; that is sorted out when it has resumed.
  const bool unclear = membership_.away() && ReasonOf(status) == Reason::kMemberFenced;
  if (Membership::WillPass(status) || unclear) {
    commits_.OnFailed(number, status, NowNs());
  } else {
    OnCommitDone(number, status);
  }
  Go();
}

void GroupSession::OnCommitDone(CommitNumber number, const absl::Status& status) {
  if (const std::optional<int64_t> commit_id = commits_.OnDone(number, status.ok())) {
    return TellResult(*commit_id, status);
  }
  if (number == held_commit_) held_commit_ = 0;
  // Whoever joins again is told what is committed.
  if (!status.ok() && !end_) end_ = status;
}

}  // namespace naru::services
