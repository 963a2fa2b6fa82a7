// What the services count, as metrics.
#pragma once

#include "services/consume/consume_counters.h"
#include "services/produce/produce_counters.h"
#include "services/server/metric_page.h"

namespace naru::services {

void AddProduceMetrics(const ProduceSnapshot& produce, MetricPage& page);
void AddConsumeMetrics(const ConsumeSnapshot& consume, MetricPage& page);

}  // namespace naru::services
