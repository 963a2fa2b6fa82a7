// Everything that /metrics shows, put together for each scrape. Thread-safe.
#pragma once

#include <prometheus/collectable.h>

#include <atomic>
#include <cstdint>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "cluster/metadata/topic_catalog.h"
#include "services/consume/consume_service.h"
#include "services/group/group_service.h"
#include "services/group/lag_monitor.h"
#include "services/produce/produce_service.h"
#include "services/server/call_metrics.h"
#include "services/server/cluster_member.h"
#include "services/server/http_endpoint.h"
#include "services/server/memory_plan.h"
#include "services/server/metric_page.h"
#include "services/server/options.h"
#include "storage/store/partition_store.h"

namespace naru::services {

// What there is to ask once the server is open. All may be asked from any thread, and blocks on nothing.
struct MetricSources {
  const PartitionStore* store = nullptr;
  const cluster::CatalogSource* catalog = nullptr;
  const ProduceService* produce = nullptr;
  const ConsumeService* consume = nullptr;
  const GroupService* group = nullptr;
  const cluster::GroupCoordinator* groups = nullptr;
  const LagMonitor* lag = nullptr;
};

class ServerMetrics final : public prometheus::Collectable {
 public:
  // `calls` outlives the metrics.
  ServerMetrics(const ServerOptions& options, const MemoryPlan& plan, const CallMetrics& calls,
                int64_t start_time_ms)
      : options_(options), plan_(plan), calls_(calls), start_time_ms_(start_time_ms) {}

  // Before it only the process shows.
  void Attach(const MetricSources& sources);
  // In a cluster, before Attach; until Detach.
  void AttachMember(const ClusterMember* member);
  // Waits for scrapes that use the sources.
  void Detach();

  // Free memory was given back, since the limit was near.
  void CountMemoryReturn() { memory_returns_.fetch_add(1, std::memory_order_relaxed); }

  // For the HTTP endpoint to count in.
  HttpCounters& http() { return http_; }

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  void AddLimits(MetricPage& page) const;

  const ServerOptions options_;
  const MemoryPlan plan_;
  const CallMetrics& calls_;
  const int64_t start_time_ms_;
  std::atomic<int64_t> memory_returns_{0};
  HttpCounters http_;
  mutable absl::Mutex mutex_;
  MetricSources sources_ ABSL_GUARDED_BY(mutex_);
  const ClusterMember* member_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace naru::services
