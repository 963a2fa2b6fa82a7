// The store's statistics as metrics.
#pragma once

#include "services/server/metric_page.h"
#include "storage/store/partition_store.h"

namespace naru::services {

// `options` are those that the store was opened with: its limits stand beside what is used of them.
void AddStoreMetrics(const StoreStats& stats, const StoreOptions& options, MetricPage& page);

}  // namespace naru::services
