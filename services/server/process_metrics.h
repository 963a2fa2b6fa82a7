// The process itself, and the calls it answered, as metrics.
#pragma once

#include "services/server/call_metrics.h"
#include "services/server/metric_page.h"
#include "services/server/process_usage.h"

namespace naru::services {

// process_… as Prometheus's client libraries name them, and naru_build_info.
void AddProcessMetrics(const ProcessUsage& usage, int64_t start_time_ms, MetricPage& page);
void AddCallMetrics(const CallMetrics& calls, MetricPage& page);

}  // namespace naru::services
