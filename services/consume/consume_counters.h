// What the consume service counts. Written by any thread; read as a snapshot.
#pragma once

#include <atomic>
#include <cstdint>

#include "services/rpc/latency_buckets.h"
#include "services/rpc/reason_counters.h"

namespace naru::services {

struct ConsumeSnapshot {
  int64_t fetches = 0;
  int64_t fetches_open = 0;  // now, those waiting for records included
  int64_t streams = 0;       // begun
  int64_t streams_open = 0;  // now
  int64_t list_calls = 0;
  int64_t deliveries = 0;  // by streams
  int64_t records = 0;     // delivered; with stored batches, those in the batches
  int64_t bytes = 0;       // of messages with records
  int64_t stalled = 0;     // cancelled, since the client did not read
  int64_t memory_used_bytes = 0;
  int64_t memory_waiting_bytes = 0;  // that calls and streams wait for
  int64_t memory_refusals = 0;       // had to wait
  ReasonCounters::Snapshot errors{};
  LatencyBuckets::Snapshot fetch;  // from request to answer, waiting for records included
};

struct ConsumeCounters {
  std::atomic<int64_t> fetches{0};
  std::atomic<int64_t> fetches_open{0};
  std::atomic<int64_t> streams{0};
  std::atomic<int64_t> streams_open{0};
  std::atomic<int64_t> list_calls{0};
  std::atomic<int64_t> deliveries{0};
  std::atomic<int64_t> records{0};
  std::atomic<int64_t> bytes{0};
  std::atomic<int64_t> stalled{0};
  ReasonCounters errors;
  LatencyBuckets fetch;
};

}  // namespace naru::services
