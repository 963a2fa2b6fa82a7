#include "cluster/broker/group_message.h"

#include <algorithm>
#include <string>

namespace naru::cluster {

namespace v1 = naru::internal::v1;

namespace {

std::string Bytes(const TopicId& id) { return {id.begin(), id.end()}; }

bool ParseId(const std::string& bytes, TopicId& id) {
  if (bytes.size() != id.size()) return false;
  std::copy(bytes.begin(), bytes.end(), id.begin());
  return true;
}

template <typename Topics>
void AddPartitions(const std::set<GroupPartition>& partitions, Topics& to) {
  v1::OwnedPartitions* of_topic = nullptr;
  for (const GroupPartition& partition : partitions) {
    if (of_topic == nullptr || of_topic->topic_id() != Bytes(partition.topic)) {
      of_topic = to.Add();
      of_topic->set_topic_id(Bytes(partition.topic));
    }
    of_topic->add_partitions(partition.partition);
  }
}

template <typename Topics>
std::set<GroupPartition> ReadPartitions(const Topics& topics) {
  std::set<GroupPartition> partitions;
  for (const v1::OwnedPartitions& of_topic : topics) {
    GroupPartition partition;
    if (!ParseId(of_topic.topic_id(), partition.topic)) continue;
    for (const int32_t number : of_topic.partitions()) {
      partition.partition = number;
      partitions.insert(partition);
    }
  }
  return partitions;
}

void SetOffset(const GroupPartition& partition, const CommittedOffset* committed,
               v1::PartitionOffsetValue& to) {
  to.mutable_partition()->set_topic_id(Bytes(partition.topic));
  to.mutable_partition()->set_partition(partition.partition);
  if (committed == nullptr) return;
  to.mutable_offset()->set_offset(committed->offset);
  to.mutable_offset()->set_metadata(committed->metadata);
  to.mutable_offset()->set_commit_time_ms(committed->commit_time_ms);
}

CommittedOffset ReadOffset(const v1::OffsetValue& from) {
  return {from.offset(), from.metadata(), from.commit_time_ms()};
}

// Those without an offset are left out.
template <typename Values>
CommittedOffsets ReadOffsets(const Values& values) {
  CommittedOffsets offsets;
  for (const v1::PartitionOffsetValue& value : values) {
    GroupPartition partition{.partition = value.partition().partition()};
    if (ParseId(value.partition().topic_id(), partition.topic) && value.has_offset()) {
      offsets[partition] = ReadOffset(value.offset());
    }
  }
  return offsets;
}

void SetSubscription(const GroupSubscription& subscription, v1::MemberValue& to) {
  for (const std::string& topic : subscription.topics) to.add_topics(topic);
  to.set_pattern(subscription.pattern);
}

GroupSubscription ReadSubscription(const v1::MemberValue& from) {
  return {{from.topics().begin(), from.topics().end()}, from.pattern()};
}

}  // namespace

v1::PartitionSet ToMessage(const std::set<GroupPartition>& partitions) {
  v1::PartitionSet to;
  AddPartitions(partitions, *to.mutable_topics());
  return to;
}

std::set<GroupPartition> FromMessage(const v1::PartitionSet& from) { return ReadPartitions(from.topics()); }

v1::JoinOrder ToMessage(const JoinGroup& join) {
  v1::JoinOrder to;
  to.set_member_id(join.member_id);
  v1::MemberValue& member = *to.mutable_member();
  member.set_instance_id(join.instance_id);
  member.set_client(join.client);
  member.set_session_timeout_ms(join.session_timeout_ms);
  member.set_rebalance_timeout_ms(join.rebalance_timeout_ms);
  SetSubscription(join.subscription, member);
  member.set_requester(join.attempt.requester);
  member.set_attempt(join.attempt.number);
  to.set_resumes_epoch(join.resumes_epoch);
  return to;
}

JoinGroup FromMessage(const v1::JoinOrder& from) {
  const v1::MemberValue& member = from.member();
  return {.session = 0,
          .member_id = from.member_id(),
          .instance_id = member.instance_id(),
          .subscription = ReadSubscription(member),
          .session_timeout_ms = member.session_timeout_ms(),
          .rebalance_timeout_ms = member.rebalance_timeout_ms(),
          .client = member.client(),
          .resumes_epoch = from.resumes_epoch(),
          .attempt = {member.requester(), member.attempt()}};
}

v1::CommitOrder ToMessage(const CommitOffsets& commit) {
  v1::CommitOrder to;
  if (commit.member_id) to.set_member_id(*commit.member_id);
  to.set_member_epoch(commit.member_epoch);
  to.set_session(commit.session);
  for (const auto& [partition, offset] : commit.offsets) SetOffset(partition, &offset, *to.add_offsets());
  return to;
}

v1::CommitOrder ToMessage(const ResetOffsets& reset) {
  v1::CommitOrder to;
  for (const auto& [partition, offset] : reset.offsets) SetOffset(partition, &offset, *to.add_offsets());
  return to;
}

CommitOffsets FromMessage(const v1::CommitOrder& from) {
  CommitOffsets commit{.member_epoch = from.member_epoch(), .session = from.session()};
  if (from.has_member_id()) commit.member_id = from.member_id();
  commit.offsets = ReadOffsets(from.offsets());
  return commit;
}

v1::AssignedNews ToMessage(const AssignedPartitions& partitions) {
  v1::AssignedNews to;
  for (const auto& [partition, committed] : partitions) {
    SetOffset(partition, committed ? &*committed : nullptr, *to.add_partitions());
  }
  return to;
}

AssignedPartitions FromMessage(const v1::AssignedNews& from) {
  AssignedPartitions partitions;
  for (const v1::PartitionOffsetValue& value : from.partitions()) {
    GroupPartition partition{.partition = value.partition().partition()};
    if (!ParseId(value.partition().topic_id(), partition.topic)) continue;
    partitions[partition] = value.has_offset() ? std::optional(ReadOffset(value.offset())) : std::nullopt;
  }
  return partitions;
}

v1::GroupFacts ToMessage(const GroupSnapshot& snapshot) {
  v1::GroupFacts to;
  to.set_group(snapshot.group);
  to.set_state(static_cast<int32_t>(snapshot.state));
  to.set_epoch(snapshot.epoch);
  for (const GroupSnapshot::Member& member : snapshot.members) {
    v1::MemberFacts& facts = *to.add_members();
    facts.set_member_id(member.member_id);
    facts.set_away(member.away);
    *facts.mutable_revoking() = ToMessage(member.revoking);
    v1::MemberValue& value = *facts.mutable_member();
    value.set_instance_id(member.instance_id);
    value.set_client(member.client);
    value.set_epoch(member.epoch);
    SetSubscription(member.subscription, value);
    AddPartitions(member.owned, *value.mutable_owned());
  }
  for (const auto& [partition, offset] : snapshot.offsets) SetOffset(partition, &offset, *to.add_offsets());
  return to;
}

GroupSnapshot FromMessage(const v1::GroupFacts& from) {
  GroupSnapshot snapshot{.group = from.group(),
                         .state = static_cast<GroupState>(from.state()),
                         .epoch = from.epoch(),
                         .members = {},
                         .offsets = ReadOffsets(from.offsets())};
  for (const v1::MemberFacts& facts : from.members()) {
    const v1::MemberValue& value = facts.member();
    snapshot.members.push_back({.member_id = facts.member_id(),
                                .instance_id = value.instance_id(),
                                .client = value.client(),
                                .epoch = value.epoch(),
                                .away = facts.away(),
                                .subscription = ReadSubscription(value),
                                .owned = ReadPartitions(value.owned()),
                                .revoking = FromMessage(facts.revoking())});
  }
  return snapshot;
}

}  // namespace naru::cluster
