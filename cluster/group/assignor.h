// Which member of a group is to read which partition. Pure: the same input gives the same answer everywhere.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "cluster/group/group_partition.h"

namespace naru::cluster {

struct AssignorMember {
  // Topics it wants; those without partitions do no harm.
  std::set<TopicId> topics;
  // What it reads now and need not give up.
  std::set<GroupPartition> owned;
};

using Assignment = std::map<std::string, std::set<GroupPartition>>;

// Every partition of a topic that somebody wants goes to exactly one of those who want it.
//
// Balanced: no partition can be handed from one member to another that wants it and has at least two fewer;
// so where all want the same topics the counts differ by one at most. Sticky: among such assignments it
// changes what is `owned` only to balance: as many partitions move as counts must change. (Kafka's sticky and
// uniform assignors, KIP-54 and KIP-848.)
//
// A partition owned by two, owned by one who does not want it, or beyond its topic's count, counts as owned
// by the first of them, or nobody.
Assignment Assign(const std::map<std::string, AssignorMember>& members,
                  const std::map<TopicId, int32_t>& partition_counts);

}  // namespace naru::cluster
