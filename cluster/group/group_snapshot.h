// A group as it is at one moment. Values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "cluster/group/group_machine.h"

namespace naru::cluster {

struct GroupSnapshot {
  struct Member {
    std::string member_id;
    std::string instance_id;
    std::string client;
    int64_t epoch = 0;
    bool away = false;
    GroupSubscription subscription;
    std::set<GroupPartition> owned;
    std::set<GroupPartition> revoking;
  };
  std::string group;
  GroupState state = GroupState::kEmpty;
  int64_t epoch = 0;
  std::vector<Member> members;  // by id
  CommittedOffsets offsets;
};

struct GroupListing {
  std::string group;
  GroupState state = GroupState::kEmpty;
  size_t members = 0;
};

GroupSnapshot SnapshotOf(const std::string& group, const GroupMachine& machine);

}  // namespace naru::cluster
