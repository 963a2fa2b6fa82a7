// What the services count, as metrics.
#pragma once

#include <string_view>

#include "services/consume/consume_counters.h"
#include "services/produce/produce_counters.h"
#include "services/rpc/reason_counters.h"
#include "services/server/metric_page.h"

namespace naru::services {

// Reasons that never occurred are left out, but for the one that always stands there so that the family
// exists.
void AddErrors(std::string_view name, std::string_view help, const ReasonCounters::Snapshot& errors,
               MetricPage& page);
void AddProduceMetrics(const ProduceSnapshot& produce, MetricPage& page);
void AddConsumeMetrics(const ConsumeSnapshot& consume, MetricPage& page);

}  // namespace naru::services
