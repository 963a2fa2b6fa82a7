// What passes between a member's session and its group's coordinator on another broker, as messages and back.
// Pure, thread-safe.
#pragma once

#include <map>
#include <optional>
#include <set>

#include "cluster/group/group_event.h"
#include "cluster/group/group_snapshot.h"
#include "naru/internal/v1/peer.pb.h"

namespace naru::cluster {

// Of bytes that are no topic id nothing is made.
naru::internal::v1::PartitionSet ToMessage(const std::set<GroupPartition>& partitions);
std::set<GroupPartition> FromMessage(const naru::internal::v1::PartitionSet& from);

naru::internal::v1::JoinOrder ToMessage(const JoinGroup& join);
JoinGroup FromMessage(const naru::internal::v1::JoinOrder& from);

naru::internal::v1::CommitOrder ToMessage(const CommitOffsets& commit);
naru::internal::v1::CommitOrder ToMessage(const ResetOffsets& reset);
CommitOffsets FromMessage(const naru::internal::v1::CommitOrder& from);

using AssignedPartitions = std::map<GroupPartition, std::optional<CommittedOffset>>;
naru::internal::v1::AssignedNews ToMessage(const AssignedPartitions& partitions);
AssignedPartitions FromMessage(const naru::internal::v1::AssignedNews& from);

naru::internal::v1::GroupFacts ToMessage(const GroupSnapshot& snapshot);
GroupSnapshot FromMessage(const naru::internal::v1::GroupFacts& from);

}  // namespace naru::cluster
