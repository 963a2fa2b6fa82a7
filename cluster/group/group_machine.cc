#include "cluster/group/group_machine.h"

#include <algorithm>
#include <iterator>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/base/check.h"
#include "storage/base/status.h"

namespace naru::cluster {
namespace {

// Nodes of maps and small strings, on a 64-bit machine.
constexpr int64_t kGroupBytes = 600;
constexpr int64_t kMemberBytes = 700;
constexpr int64_t kAssignmentBytes = 300;  // in the owners, the owner's set and its target
constexpr int64_t kOffsetBytes = 120;
constexpr int64_t kTopicNameBytes = 64;  // of a subscription, beside the name

int64_t TextBytes(const GroupMachine::Member& member) {
  int64_t bytes =
      std::ssize(member.instance_id) + std::ssize(member.client) + std::ssize(member.subscription.pattern);
  for (const std::string& topic : member.subscription.topics) bytes += kTopicNameBytes + std::ssize(topic);
  return bytes;
}

bool IsOverdue(const GroupMachine::Member& member, const GroupTime& now) {
  return std::any_of(member.revoking.begin(), member.revoking.end(), [&now](const auto& revoking) {
    return revoking.second && *revoking.second <= now.steady_ms;
  });
}

absl::Status Fenced(std::string_view message) { return MakeError(Reason::kMemberFenced, message); }

}  // namespace

std::set<GroupPartition> GroupMachine::Member::RevokingPartitions() const {
  std::set<GroupPartition> partitions;
  for (const auto& [partition, until_ms] : revoking) partitions.insert(partition);
  return partitions;
}

void GroupMachine::Replay(const GroupRecord& record) {
  std::visit(
      [this](const auto& row) {
        using Row = std::decay_t<decltype(row)>;
        if constexpr (std::is_same_v<Row, GroupRow>) {
          epoch_ = std::max(epoch_, row.epoch);
          empty_since_ms_ = row.empty_since_ms;
          row_known_ = true;
        } else if constexpr (std::is_same_v<Row, GroupGone>) {
          row_known_ = false;
        } else if constexpr (std::is_same_v<Row, MemberRow>) {
          epoch_ = std::max(epoch_, row.epoch);
          Member& member = members_[row.member_id];
          text_bytes_ -= TextBytes(member);
          member = {.instance_id = row.instance_id,
                    .client = row.client,
                    .epoch = row.epoch,
                    .session_timeout_ms = row.session_timeout_ms,
                    .rebalance_timeout_ms = row.rebalance_timeout_ms,
                    .subscription = row.subscription,
                    .attempt = row.attempt,
                    .owned = row.owned};
          text_bytes_ += TextBytes(member);
        } else if constexpr (std::is_same_v<Row, MemberGone>) {
          const auto member = members_.find(row.member_id);
          if (member == members_.end()) return;
          text_bytes_ -= TextBytes(member->second);
          members_.erase(member);
        } else if constexpr (std::is_same_v<Row, OffsetRow>) {
          Keep(row.partition, row.committed);
        } else {
          static_assert(std::is_same_v<Row, OffsetGone>);
          const auto offset = offsets_.find(row.partition);
          if (offset != offsets_.end()) Drop(offset);
        }
      },
      record);
}

GroupEffects GroupMachine::Start(std::shared_ptr<const GroupTopics> topics, const GroupTime& now) {
  now_ = now;
  row_before_ = {epoch_, empty_since_ms_};
  for (auto& [id, member] : members_) {
    member.unheard = rules_.keep_for_unheard;
    member.away_until_ms = AwayUntil(member);
    if (!member.instance_id.empty()) member_of_instance_[member.instance_id] = id;
    // What one step writes stands in one batch, so no two rows claim a partition. Should they, one gives way.
    for (auto it = member.owned.begin(); it != member.owned.end();) {
      if (owners_.try_emplace(*it, id).second) {
        ++it;
      } else {
        it = member.owned.erase(it);
        Changed(id);
      }
    }
  }
  Do(ChangeTopics{std::move(topics)});
  return Finish();
}

int64_t GroupMachine::AwayUntil(const Member& member) const {
  return now_.steady_ms + member.session_timeout_ms + (member.unheard ? limits_.unheard_grace_ms : 0);
}

GroupEffects GroupMachine::On(const GroupEvent& event, const GroupTime& now) {
  now_ = now;
  row_before_ = {epoch_, empty_since_ms_};
  std::visit([this](const auto& happened) { Do(happened); }, event);
  return Finish();
}

GroupMachine::Members::iterator GroupMachine::FindJoining(const JoinGroup& join) {
  if (!join.instance_id.empty()) {
    const auto known = member_of_instance_.find(join.instance_id);
    if (known != member_of_instance_.end()) return members_.find(known->second);
  }
  return members_.find(join.member_id);
}

bool GroupMachine::Overtaken(const JoinGroup& join, const Member& member) const {
  return rules_.refuse_overtaken_joins && join.attempt.requester != 0 &&
         join.attempt.requester == member.attempt.requester && join.attempt.number < member.attempt.number;
}

bool GroupMachine::IsMember(const JoinGroup& join) const {
  return members_.contains(join.member_id) ||
         (!join.instance_id.empty() && member_of_instance_.contains(join.instance_id));
}

int64_t GroupMachine::bytes() const {
  return kGroupBytes + text_bytes_ + kMemberBytes * std::ssize(members_) +
         kAssignmentBytes * std::ssize(owners_) + kOffsetBytes * std::ssize(offsets_);
}

int64_t GroupMachine::TakeGrowth() {
  const int64_t before = std::exchange(bytes_counted_, bytes());
  return bytes_counted_ - before;
}

GroupMachine::Members::iterator GroupMachine::OfSession(uint64_t session) {
  const auto it = member_of_session_.find(session);
  return it == member_of_session_.end() ? members_.end() : members_.find(it->second);
}

void GroupMachine::Do(const JoinGroup& join) {
  NARU_CHECK(!join.member_id.empty());
  auto it = FindJoining(join);
  if (it != members_.end() && Overtaken(join, it->second)) {
    return Say(EndSession{
        join.session,
        MakeError(Reason::kCoordinatorLoading,
                  absl::StrCat("member ", it->first, " was let in by a later request of the same session"))});
  }
  if (join.resumes_epoch != 0) return Resume(join, it);
  if (it == members_.end() && std::ssize(members_) >= limits_.members_max) {
    return Say(EndSession{join.session, MakeError(Reason::kTooManyMembers,
                                                  absl::StrCat("group: it has ", members_.size(),
                                                               " members, which is the limit"),
                                                  {{"limit", absl::StrCat(limits_.members_max)}})});
  }
  if (it == members_.end()) it = members_.emplace(join.member_id, Member{}).first;
  auto& [id, member] = *it;
  text_bytes_ -= TextBytes(member);
  // What the older session was to release is out of use with it.
  for (const auto& [partition, until_ms] : std::exchange(member.revoking, {})) TakeFrom(id, partition);
  if (!join.instance_id.empty() && member.instance_id != join.instance_id) {
    member_of_instance_.erase(member.instance_id);
    member_of_instance_[join.instance_id] = id;
    member.instance_id = join.instance_id;
  }
  retarget_ = retarget_ || member.epoch == 0 || member.subscription != join.subscription;
  member.epoch = ++epoch_;
  member.session_timeout_ms = join.session_timeout_ms;
  member.rebalance_timeout_ms = join.rebalance_timeout_ms;
  member.subscription = join.subscription;
  member.client = join.client;
  text_bytes_ += TextBytes(member);
  empty_since_ms_ = 0;
  BeginSession(id, member, join);
}

void GroupMachine::Resume(const JoinGroup& join, Members::iterator it) {
  if (it == members_.end() || it->second.epoch != join.resumes_epoch) {
    return Say(EndSession{join.session, Fenced(absl::StrCat("member ", join.member_id,
                                                            " has begun a newer session, or is no member "
                                                            "any more; join again"))});
  }
  auto& [id, member] = *it;
  // To be asked for again, should it still be too much.
  member.revoking.clear();
  resumed_.insert(id);
  BeginSession(id, member, join);
}

void GroupMachine::BeginSession(const std::string& id, Member& member, const JoinGroup& join) {
  if (member.session != 0) {
    member_of_session_.erase(member.session);
    if (rules_.fence_older_session) {
      Say(EndSession{member.session, Fenced(absl::StrCat("member ", id, " has begun a newer session"))});
    }
  }
  member.session = join.session;
  member.attempt = join.attempt;
  member.unheard = false;
  member_of_session_[join.session] = id;
  // Also where nothing is new: who coordinates no more cannot write that, and so tells nobody.
  Changed(id);
  Say(TellJoined{join.session, id, member.epoch});
  joined_.insert(id);
  reconcile_ = true;
}

void GroupMachine::Do(const LoseSession& lost) {
  const auto it = OfSession(lost.session);
  if (it == members_.end()) return;
  auto& [id, member] = *it;
  member_of_session_.erase(lost.session);
  member.session = 0;
  member.unheard = lost.unheard && rules_.keep_for_unheard;
  member.away_until_ms = AwayUntil(member);
  for (const auto& [partition, until_ms] : std::exchange(member.revoking, {})) {
    if (!member.unheard) TakeFrom(id, partition);
  }
  reconcile_ = true;
}

void GroupMachine::Do(const LeaveGroup& leave) {
  auto it = members_.end();
  if (leave.session != 0) {
    it = OfSession(leave.session);
  } else if (!leave.instance_id.empty()) {
    const auto known = member_of_instance_.find(leave.instance_id);
    if (known != member_of_instance_.end()) it = members_.find(known->second);
  } else {
    it = members_.find(leave.member_id);
  }
  if (it != members_.end()) {
    Remove(it, leave.session != 0
                   ? absl::OkStatus()
                   : Fenced(absl::StrCat("member ", it->first, " was told to leave the group")));
  }
  // Who is gone has left.
  if (leave.request != 0) Say(Answer{leave.request, absl::OkStatus()});
}

void GroupMachine::Do(const ReleasePartitions& release) {
  const auto it = OfSession(release.session);
  if (it == members_.end()) return;
  for (const GroupPartition& partition : release.partitions) {
    if (it->second.revoking.erase(partition) > 0) TakeFrom(it->first, partition);
  }
  reconcile_ = true;
}

void GroupMachine::Do(const RevokingTold& told) {
  const auto it = OfSession(told.session);
  if (it == members_.end()) return;
  auto& [id, member] = *it;
  for (const GroupPartition& partition : told.partitions) {
    const auto revoking = member.revoking.find(partition);
    if (revoking != member.revoking.end() && !revoking->second)
      revoking->second = now_.steady_ms + member.rebalance_timeout_ms;
  }
}

absl::Status GroupMachine::CheckCommit(const CommitOffsets& commit) const {
  if (!commit.member_id) {
    if (members_.empty()) return absl::OkStatus();
    return MakeError(Reason::kGroupNotEmpty, absl::StrCat("member_id: absent, while the group has ",
                                                          members_.size(), " members; only they may commit"));
  }
  const auto it = members_.find(*commit.member_id);
  if (rules_.check_committer) {
    if (it == members_.end()) {
      return Fenced(absl::StrCat("member_id: ", *commit.member_id, " is no member of the group; join again"));
    }
    if (it->second.epoch != commit.member_epoch) {
      return Fenced(absl::StrCat("member_epoch: ", commit.member_epoch, " of member ", it->first,
                                 " is over; it is ", it->second.epoch, " now"));
    }
    if (commit.session != 0 && it->second.session != commit.session && rules_.check_session) {
      return MakeError(Reason::kCoordinatorLoading,
                       absl::StrCat("member ", it->first, " has resumed, and commits in its newer session"));
    }
  }
  if (!rules_.check_owner) return absl::OkStatus();
  for (const auto& [partition, offset] : commit.offsets) {
    if (it == members_.end() || !it->second.owned.contains(partition)) {
      return Fenced(
          absl::StrCat("offsets: ", NameOf(partition), " is not assigned to member ", *commit.member_id));
    }
  }
  return absl::OkStatus();
}

std::string GroupMachine::NameOf(const GroupPartition& partition) const {
  for (const auto& [name, topic] : *topics_) {
    if (topic.id == partition.topic) return absl::StrCat(name, "/", partition.partition);
  }
  return absl::StrCat("partition ", partition.partition, " of a topic that was deleted");
}

void GroupMachine::Put(const CommittedOffsets& offsets) {
  for (const auto& [partition, offset] : offsets) {
    CommittedOffset committed = offset;
    committed.commit_time_ms = now_.wall_ms;
    Keep(partition, committed);
    records_.push_back(OffsetRow{partition, std::move(committed)});
  }
  // The clock of a group without members runs from its last use.
  if (members_.empty()) empty_since_ms_ = now_.wall_ms;
}

void GroupMachine::Keep(const GroupPartition& partition, const CommittedOffset& committed) {
  CommittedOffset& kept = offsets_[partition];
  text_bytes_ += std::ssize(committed.metadata) - std::ssize(kept.metadata);
  kept = committed;
}

CommittedOffsets::iterator GroupMachine::Drop(CommittedOffsets::iterator offset) {
  text_bytes_ -= std::ssize(offset->second.metadata);
  return offsets_.erase(offset);
}

void GroupMachine::Do(const CommitOffsets& commit) {
  const absl::Status allowed = CheckCommit(commit);
  if (allowed.ok()) Put(commit.offsets);
  Say(Answer{commit.request, allowed});
}

void GroupMachine::Do(const ResetOffsets& reset) {
  if (!members_.empty()) {
    return Say(Answer{reset.request,
                      MakeError(Reason::kGroupNotEmpty, absl::StrCat("group: it has ", members_.size(),
                                                                     " members; stop them before a reset"))});
  }
  Put(reset.offsets);
  Say(Answer{reset.request, absl::OkStatus()});
}

void GroupMachine::Do(const DeleteGroup& request) {
  if (!members_.empty()) {
    return Say(Answer{request.request, MakeError(Reason::kGroupNotEmpty,
                                                 absl::StrCat("group: it has ", members_.size(),
                                                              " members; stop them before deleting it"))});
  }
  if (!row_known_ && offsets_.empty()) {
    return Say(
        Answer{request.request, MakeError(Reason::kGroupNotFound, "group: there is none of this name")});
  }
  ForgetAll();
  Say(Answer{request.request, absl::OkStatus()});
}

void GroupMachine::ForgetAll() {
  for (auto it = offsets_.begin(); it != offsets_.end(); it = Drop(it)) {
    records_.push_back(OffsetGone{it->first});
  }
  if (row_known_) records_.push_back(GroupGone{});
  row_known_ = false;
  // Stays: a member of before is stale to whoever makes the group anew.
  empty_since_ms_ = 0;
  row_before_ = {epoch_, empty_since_ms_};
}

void GroupMachine::Do(const ChangeTopics& change) {
  NARU_CHECK(change.topics != nullptr);
  topics_ = change.topics;
  retarget_ = reconcile_ = true;
  std::set<TopicId> there;
  for (const auto& [name, topic] : *topics_) there.insert(topic.id);
  // An id never comes back.
  for (auto it = offsets_.begin(); it != offsets_.end();) {
    if (there.contains(it->first.topic)) {
      ++it;
      continue;
    }
    records_.push_back(OffsetGone{it->first});
    it = Drop(it);
  }
}

void GroupMachine::Do(const PassTime&) {
  for (auto it = members_.begin(); it != members_.end();) {
    const auto next = std::next(it);
    const Member& member = it->second;
    if (member.session == 0 && member.away_until_ms <= now_.steady_ms) {
      if (rules_.end_lost_sessions) Remove(it, absl::OkStatus());
    } else if (rules_.fence_slow_revocation && IsOverdue(member, now_)) {
      Remove(it,
             Fenced(absl::StrCat("member ", it->first, " did not give up its partitions within ",
                                 member.rebalance_timeout_ms, " ms; acknowledge what was delivered sooner")));
    }
    it = next;
  }
  if (!members_.empty() && rules_.keep_offsets_of_members) return;
  if (now_.wall_ms - empty_since_ms_ >= limits_.offsets_retention_ms) ForgetAll();
}

void GroupMachine::Remove(Members::iterator it, const absl::Status& why) {
  auto& [id, member] = *it;
  if (member.session != 0) {
    member_of_session_.erase(member.session);
    Say(EndSession{member.session, why});
  }
  if (!member.instance_id.empty()) member_of_instance_.erase(member.instance_id);
  for (const GroupPartition& partition : member.owned) owners_.erase(partition);
  records_.push_back(MemberGone{id});
  dirty_.erase(id);
  retarget_ = reconcile_ = true;
  joined_.erase(id);
  resumed_.erase(id);
  text_bytes_ -= TextBytes(member);
  members_.erase(it);
  if (!members_.empty()) return;
  ++epoch_;
  empty_since_ms_ = now_.wall_ms;
}

void GroupMachine::TakeFrom(const std::string& id, const GroupPartition& partition) {
  members_[id].owned.erase(partition);
  owners_.erase(partition);
  Changed(id);
}

GroupEffects GroupMachine::Finish() {
  if (std::exchange(retarget_, false)) Retarget();
  if (std::exchange(reconcile_, false)) Reconcile();
  joined_.clear();
  resumed_.clear();
  for (const std::string& id : std::exchange(dirty_, {})) {
    const Member& member = members_.at(id);
    records_.push_back(MemberRow{.member_id = id,
                                 .instance_id = member.instance_id,
                                 .client = member.client,
                                 .epoch = member.epoch,
                                 .session_timeout_ms = member.session_timeout_ms,
                                 .rebalance_timeout_ms = member.rebalance_timeout_ms,
                                 .subscription = member.subscription,
                                 .attempt = member.attempt,
                                 .owned = member.owned});
  }
  if (const GroupRow row{epoch_, empty_since_ms_}; row != row_before_) {
    records_.push_back(row);
    row_known_ = true;
  }
  GroupEffects effects;
  effects.reserve(records_.size() + said_.size());
  for (GroupRecord& record : std::exchange(records_, {})) effects.push_back(Persist{std::move(record)});
  for (GroupEffect& effect : std::exchange(said_, {})) effects.push_back(std::move(effect));
  return effects;
}

std::optional<int64_t> GroupMachine::NextDeadline(const GroupTime& now) const {
  std::optional<int64_t> next;
  const auto at = [&next](int64_t steady_ms) { next = std::min(next.value_or(steady_ms), steady_ms); };
  for (const auto& [id, member] : members_) {
    if (member.session == 0) at(member.away_until_ms);
    for (const auto& [partition, until_ms] : member.revoking) {
      if (until_ms) at(*until_ms);
    }
  }
  if (members_.empty() && empty_since_ms_ > 0) {
    at(now.steady_ms + std::max<int64_t>(0, empty_since_ms_ + limits_.offsets_retention_ms - now.wall_ms));
  }
  return next;
}

GroupState GroupMachine::state() const {
  if (members_.empty()) return GroupState::kEmpty;
  const bool stable = std::all_of(members_.begin(), members_.end(), [](const auto& entry) {
    return entry.second.owned == entry.second.target && entry.second.revoking.empty();
  });
  return stable ? GroupState::kStable : GroupState::kReconciling;
}

}  // namespace naru::cluster
