// Workloads of consumer groups: many groups at rest and at work, and one large group that rebalances.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "tools/bench/bench_hub.h"

namespace naru::bench {

struct GroupsWorkload {
  int groups = 1'000;
  int members = 5;  // of each
  int partitions = 10;
  int connections = 50;
  double idle_seconds = 10;
  double load_seconds = 10;
  int records_per_second = 1'000;  // written meanwhile; every group reads them all
};

struct GroupsFigures {
  double join_seconds = 0;  // until all have joined and every partition has its reader in every group
  double resident_before_mb = 0;
  double resident_idle_mb = 0;
  double resident_load_mb = 0;
  double idle_cores = 0;
  double load_cores = 0;
  double written_per_second = 0;
  double read_per_second = 0;  // of all groups
};

// A hub of many groups. All members read the same topic.
absl::StatusOr<GroupsFigures> MeasureGroups(BenchHub& hub, const GroupsWorkload& workload);

struct RebalanceWorkload {
  int members = 200;
  int partitions = 1'000;
  int connections = 10;
  int rounds = 10;  // of one that joins and one that leaves
  int records_per_second = 20'000;
};

struct RebalanceFigures {
  double first_seconds = 0;   // until the group's first assignment stands
  double join_ms_median = 0;  // until one more member has its share
  double join_ms_max = 0;
  double leave_ms_median = 0;  // until what it had is with others
  double leave_ms_max = 0;
  int moved_max = 0;         // partitions that changed hands, of one join or leave
  double gap_before_ms = 0;  // longest between two deliveries of a partition, undisturbed
  double gap_during_ms = 0;  // the same of those that did not move, while others did
};

absl::StatusOr<RebalanceFigures> MeasureRebalance(BenchHub& hub, const RebalanceWorkload& workload);

std::string ToText(const GroupsFigures& figures);
std::string ToText(const RebalanceFigures& figures);
// {"groups": {...}}, {"rebalance": {...}}.
std::string ToJson(const GroupsFigures& figures);
std::string ToJson(const RebalanceFigures& figures);

}  // namespace naru::bench
