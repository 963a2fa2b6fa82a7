// The part of a cluster that this process is, as metrics.
#pragma once

#include "services/server/cluster_member.h"
#include "services/server/metric_page.h"

namespace naru::services {

void AddClusterMetrics(const ClusterMemberSnapshot& snapshot, MetricPage& page);

}  // namespace naru::services
