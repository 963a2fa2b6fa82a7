#include "services/server/group_metrics.h"

#include <map>
#include <string>

#include "services/server/service_metrics.h"
#include "storage/base/strings.h"

namespace naru::services {
namespace {

double Seconds(int64_t ms) { return static_cast<double>(ms) / 1'000; }

std::string_view Name(cluster::GroupState state) {
  switch (state) {
    case cluster::GroupState::kEmpty:
      return "empty";
    case cluster::GroupState::kReconciling:
      return "reconciling";
    case cluster::GroupState::kStable:
      return "stable";
  }
  return "";
}

}  // namespace

void AddGroupMetrics(const GroupServiceSnapshot& s, const cluster::GroupCoordinatorStats& g,
                     MetricPage& page) {
  page.Counter("naru_group_streams_total", "Consume streams begun.", s.streams);
  page.Gauge("naru_group_streams", "Consume streams that are open.", s.streams_open);
  page.Counter("naru_group_polls_total", "Poll calls.", s.polls);
  page.Gauge("naru_group_pollers", "Members that poll.", s.pollers);
  page.Counter("naru_group_deliveries_total", "Deliveries to members.", s.deliveries);
  page.Counter("naru_group_records_total", "Records delivered to members.", s.records);
  page.Counter("naru_group_bytes_total", "Bytes of deliveries to members.", s.bytes);
  page.Counter("naru_group_acks_total", "Deliveries acknowledged by members.", s.acks);
  page.Counter("naru_group_stalled_total", "Members cut off because they did not read while others waited.",
               s.stalled);
  AddErrors("naru_group_errors_total", "Failed calls and streams of the group service, by reason.", s.errors,
            page);
  page.Counter("naru_group_commits_total", "Commits written, each of one or more positions.",
               g.groups.commits);
  page.Counter("naru_group_committed_positions_total", "Positions written.", g.groups.positions);
  page.Counter("naru_group_rebalances_total", "Changes of an assignment that were carried through.",
               g.groups.rebalances);
  page.Counter("naru_group_rebalance_seconds_total", "How long changes of assignments took, summed up.",
               Seconds(g.groups.rebalance_ms));
  page.Counter("naru_group_fenced_total", "Sessions of members that were ended for being slow, or replaced.",
               g.groups.fenced);
  page.Gauge("naru_group_sessions", "Sessions of members.", g.sessions);
  page.Gauge("naru_group_memory_bytes", "What groups take of memory, about (--group-memory bounds it).",
             g.bytes);
  page.Gauge("naru_group_requests_waiting", "Requests that wait for the coordinator.", g.queued);
  page.Counter("naru_group_requests_refused_total",
               "Requests refused because as many waited as may (--max-queued-group-requests).",
               g.requests_refused);
  page.Counter("naru_group_reloads_total", "Partitions of groups read again after a write that failed.",
               g.reloads);
}

void AddGroupLag(const LagReport& report, MetricPage& page) {
  std::map<cluster::GroupState, int64_t> states = {{cluster::GroupState::kEmpty, 0},
                                                   {cluster::GroupState::kReconciling, 0},
                                                   {cluster::GroupState::kStable, 0}};
  for (const GroupLag& group : report.groups) ++states[group.state];
  for (const auto& [state, count] : states) {
    page.Gauge("naru_groups", "Groups, by state.", count, {{"state", Name(state)}});
  }
  for (const GroupLag& group : report.groups) {
    page.Gauge("naru_group_members", "Members of a group.", group.members, {{"group", group.group}});
    page.Gauge("naru_group_lag_records", "Records that a group has not committed yet.", group.records,
               {{"group", group.group}});
    page.Gauge("naru_group_lag_seconds", "Age of the oldest record that a group has not committed yet.",
               Seconds(group.time_ms_max), {{"group", group.group}});
    for (const GroupLag::Partition& partition : group.partitions) {
      const std::string number = absl::StrCat(partition.partition);
      page.Gauge("naru_group_partition_lag_records",
                 "Records of a partition that a group has not committed yet.", partition.records,
                 {{"group", group.group}, {"topic", partition.topic}, {"partition", number}});
      page.Gauge("naru_group_partition_lag_seconds",
                 "Age of the oldest record of a partition that a group has not committed yet.",
                 Seconds(partition.time_ms),
                 {{"group", group.group}, {"topic", partition.topic}, {"partition", number}});
    }
  }
  page.Gauge("naru_group_lag_partitions_left_out",
             "Partitions of groups that are only in the sums of their groups (--max-lag-partitions).",
             report.partitions_left_out);
}

}  // namespace naru::services
