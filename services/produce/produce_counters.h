// What the produce service counts. Written by any thread; read as a snapshot.
#pragma once

#include <atomic>
#include <cstdint>

#include "services/rpc/latency_buckets.h"
#include "services/rpc/reason_counters.h"

namespace naru::services {

struct ProduceSnapshot {
  int64_t calls = 0;         // unary
  int64_t streams = 0;       // begun
  int64_t streams_open = 0;  // now
  int64_t stream_items = 0;
  int64_t inflight = 0;    // calls and items that are not answered yet
  int64_t records = 0;     // appended
  int64_t bytes = 0;       // of batches appended
  int64_t duplicates = 0;  // batches that had been appended before, answered so
  int64_t memory_used_bytes = 0;
  int64_t memory_waiting_bytes = 0;
  int64_t memory_refusals = 0;  // had to wait or were refused
  int64_t reading_bytes = 0;    // that streams may be reading, or have read and wait with
  int64_t read_waits = 0;       // reads that had to wait
  ReasonCounters::Snapshot errors{};
  LatencyBuckets::Snapshot ack;  // from the request read to the append done
};

struct ProduceCounters {
  std::atomic<int64_t> calls{0};
  std::atomic<int64_t> streams{0};
  std::atomic<int64_t> streams_open{0};
  std::atomic<int64_t> stream_items{0};
  std::atomic<int64_t> inflight{0};
  std::atomic<int64_t> records{0};
  std::atomic<int64_t> bytes{0};
  std::atomic<int64_t> duplicates{0};
  ReasonCounters errors;
  LatencyBuckets ack;
};

}  // namespace naru::services
