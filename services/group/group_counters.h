// What the group service counts. Written by any thread; read as a snapshot.
#pragma once

#include <atomic>
#include <cstdint>

#include "services/rpc/reason_counters.h"

namespace naru::services {

struct GroupServiceSnapshot {
  int64_t streams = 0;       // begun
  int64_t streams_open = 0;  // now
  int64_t polls = 0;
  int64_t pollers = 0;  // members that poll, now
  int64_t deliveries = 0;
  int64_t records = 0;  // delivered; with stored batches, those in the batches
  int64_t bytes = 0;    // of messages with records
  int64_t acks = 0;     // of deliveries
  int64_t commits = 0;  // asked of the coordinator; one may hold many positions
  int64_t stalled = 0;  // cancelled, since the client did not read
  ReasonCounters::Snapshot errors{};
};

struct GroupServiceCounters {
  std::atomic<int64_t> streams{0};
  std::atomic<int64_t> streams_open{0};
  std::atomic<int64_t> polls{0};
  std::atomic<int64_t> deliveries{0};
  std::atomic<int64_t> records{0};
  std::atomic<int64_t> bytes{0};
  std::atomic<int64_t> acks{0};
  std::atomic<int64_t> commits{0};
  std::atomic<int64_t> stalled{0};
  ReasonCounters errors;
};

}  // namespace naru::services
