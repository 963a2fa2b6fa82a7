#include "cluster/group/group_snapshot.h"

namespace naru::cluster {

GroupSnapshot SnapshotOf(const std::string& group, const GroupMachine& machine) {
  GroupSnapshot snapshot{.group = group,
                         .state = machine.state(),
                         .epoch = machine.epoch(),
                         .members = {},
                         .offsets = machine.offsets()};
  for (const auto& [id, member] : machine.members()) {
    snapshot.members.push_back({.member_id = id,
                                .instance_id = member.instance_id,
                                .client = member.client,
                                .epoch = member.epoch,
                                .away = member.session == 0,
                                .subscription = member.subscription,
                                .owned = member.owned,
                                .revoking = member.RevokingPartitions()});
  }
  return snapshot;
}

}  // namespace naru::cluster
