// What consumer groups are up to, as metrics.
#pragma once

#include "cluster/group/group_coordinator.h"
#include "services/group/group_counters.h"
#include "services/group/lag_monitor.h"
#include "services/server/metric_page.h"

namespace naru::services {

void AddGroupMetrics(const GroupServiceSnapshot& service, const cluster::GroupCoordinatorStats& groups,
                     MetricPage& page);
void AddGroupLag(const LagReport& report, MetricPage& page);

}  // namespace naru::services
