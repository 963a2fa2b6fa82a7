// What all calls and streams of the consume service share. Outlives the service while answers are under way.
#pragma once

#include <atomic>
#include <memory>

#include "cluster/metadata/topic_catalog.h"
#include "services/consume/consume_counters.h"
#include "services/consume/consume_memory.h"
#include "services/consume/consume_options.h"
#include "services/rpc/executor.h"
#include "storage/base/clock.h"
#include "storage/base/memory_budget.h"
#include "storage/base/status.h"
#include "storage/log/log_store.h"

namespace naru::services {

struct ConsumeContext {
  ConsumeContext(LogStore& store, const cluster::CatalogSource& catalog, Executor& executor,
                 const Clock& clock, const ConsumeOptions& options)
      : store(store),
        catalog(catalog),
        executor(executor),
        clock(clock),
        options(options),
        memory(ConsumeMemory::Make(options, executor, clock)),
        subscriptions(options.memory_bytes / 4) {}

  // SHUTTING_DOWN once the service was told to stop.
  absl::Status CheckOpen() const {
    if (!stopping.load()) return absl::OkStatus();
    return MakeError(Reason::kShuttingDown, "the broker is shutting down; go on with another, or later");
  }

  LogStore& store;
  const cluster::CatalogSource& catalog;
  Executor& executor;
  const Clock& clock;
  const ConsumeOptions options;
  // For messages under way.
  const std::shared_ptr<ConsumeMemory> memory;
  // For what subscriptions remember about their partitions.
  MemoryBudget subscriptions;
  // Streams and polling members that messages are read for, now.
  std::atomic<int64_t> senders{0};
  ConsumeCounters counters;
  std::atomic<bool> stopping{false};
};

}  // namespace naru::services
