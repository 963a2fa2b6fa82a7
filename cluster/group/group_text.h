// What a group decides, as text: one line each, the same every time, for logs and for transcripts that are
// read in review.
#pragma once

#include <set>
#include <string>

#include "cluster/group/group_event.h"
#include "cluster/group/group_machine.h"

namespace naru::cluster {

// "orders/0-2,5 bills/1": by topic name, ranges joined; "?" for a topic there is not; "-" for none.
std::string ToText(const std::set<GroupPartition>& partitions, const GroupTopics& topics);

// "s3 assigned orders/0@12 orders/1@-": a session's number, then what; @ what is committed.
std::string ToText(const GroupEffect& effect, const GroupTopics& topics);

// A line for the group and one for each member.
std::string ToText(const GroupMachine& group, const GroupTopics& topics);

}  // namespace naru::cluster
