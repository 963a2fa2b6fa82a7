// What all calls and streams of the produce service share. Outlives the service while appends are under way.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <vector>

#include "cluster/metadata/topic_catalog.h"
#include "services/produce/keyless_turns.h"
#include "services/produce/produce_answer.h"
#include "services/produce/produce_counters.h"
#include "services/produce/produce_options.h"
#include "services/produce/produce_plan.h"
#include "services/produce/read_credits.h"
#include "services/rpc/executor.h"
#include "services/rpc/memory_gate.h"
#include "storage/base/clock.h"
#include "storage/log/log_store.h"

namespace naru::services {

struct ProduceContext {
  ProduceContext(LogStore& store, const cluster::CatalogSource& catalog, Executor& executor,
                 const Clock& clock, const ProduceOptions& options)
      : store(store),
        catalog(catalog),
        executor(executor),
        clock(clock),
        options(options),
        memory(options.memory_bytes, options.waiting_bytes_max),
        reads(std::make_shared<ReadCredits>(options.reading_bytes_max,
                                            std::chrono::milliseconds(options.idle_read_ms), executor)) {}

  // SHUTTING_DOWN once the service was told to stop.
  absl::Status CheckOpen() const;
  // Counts what was appended and how long it took, and every error among `outcomes`.
  void CountOutcomes(const std::vector<PartOutcome>& outcomes, int64_t begun_ns);

  LogStore& store;
  const cluster::CatalogSource& catalog;
  Executor& executor;
  const Clock& clock;
  const ProduceOptions options;
  KeylessTurns turns;
  MemoryGate memory;
  // Streams take from it before they read.
  const std::shared_ptr<ReadCredits> reads;
  ProduceCounters counters;
  std::atomic<bool> stopping{false};
};

}  // namespace naru::services
