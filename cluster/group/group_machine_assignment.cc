// GroupMachine's assignment: what the members should own, and how what they own comes closer to it.
#include <re2/re2.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "cluster/group/group_machine.h"
#include "cluster/metadata/topic_catalog.h"

namespace naru::cluster {

std::set<TopicId> GroupMachine::Resolve(const GroupSubscription& subscription) const {
  std::set<TopicId> topics;
  for (const std::string& name : subscription.topics) {
    const auto it = topics_->find(name);
    if (it != topics_->end()) topics.insert(it->second.id);
  }
  if (subscription.pattern.empty()) return topics;
  const RE2 pattern(subscription.pattern, RE2::Quiet);
  if (!pattern.ok()) return topics;  // it was looked at before it came here
  for (const auto& [name, topic] : *topics_) {
    if (!IsReservedTopicName(name) && RE2::FullMatch(name, pattern)) topics.insert(topic.id);
  }
  return topics;
}

void GroupMachine::Retarget() {
  // Members with the same subscription, most often all, are resolved once.
  std::vector<std::pair<const GroupSubscription*, std::set<TopicId>>> resolved;
  std::map<std::string, AssignorMember> wants;
  for (const auto& [id, member] : members_) {
    const GroupSubscription& subscription = member.subscription;
    auto known = std::find_if(resolved.begin(), resolved.end(),
                              [&subscription](const auto& pair) { return *pair.first == subscription; });
    if (known == resolved.end()) {
      known = resolved.emplace(known, &subscription, Resolve(subscription));
    }
    AssignorMember& want = wants[id];
    want.topics = known->second;
    for (const GroupPartition& partition : member.owned) {
      if (!member.revoking.contains(partition)) want.owned.insert(partition);
    }
  }
  std::map<TopicId, int32_t> counts;
  for (const auto& [name, topic] : *topics_) counts[topic.id] = topic.partition_count;
  for (auto& [id, target] : Assign(wants, counts)) members_[id].target = std::move(target);
}

void GroupMachine::Reconcile() {
  for (auto& [id, member] : members_) Revoke(id, member);
  for (auto& [id, member] : members_) Grant(id, member);
}

void GroupMachine::Revoke(const std::string& id, Member& member) {
  std::set<GroupPartition> excess;
  for (const GroupPartition& partition : member.owned) {
    if (!member.target.contains(partition) && !member.revoking.contains(partition)) excess.insert(partition);
  }
  if (excess.empty() || member.unheard) return;
  if (member.session == 0 || (joined_.contains(id) && !resumed_.contains(id))) {
    // Nothing is outstanding where there is no session, or it has only just begun.
    for (const GroupPartition& partition : excess) TakeFrom(id, partition);
    return;
  }
  for (const GroupPartition& partition : excess) member.revoking[partition] = std::nullopt;
  Say(TellRevoking{member.session, std::move(excess)});
}

void GroupMachine::Grant(const std::string& id, Member& member) {
  const bool joined = joined_.contains(id);
  std::map<GroupPartition, std::optional<CommittedOffset>> granted;
  for (const GroupPartition& partition : member.target) {
    // What it kept while it was away, a new session is told anew.
    const bool kept = member.owned.contains(partition);
    if (kept && !joined) continue;
    if (!kept) {
      const auto [owner, free] = owners_.try_emplace(partition, id);
      if (!free && rules_.withhold_until_released) continue;
      owner->second = id;
      member.owned.insert(partition);
      Changed(id);
    }
    const auto committed = offsets_.find(partition);
    granted[partition] =
        committed == offsets_.end() ? std::nullopt : std::optional<CommittedOffset>(committed->second);
  }
  // Who resumes learns from it also that it has nothing any more.
  if (member.session != 0 && (!granted.empty() || resumed_.contains(id)))
    Say(TellAssigned{member.session, std::move(granted)});
}

}  // namespace naru::cluster
