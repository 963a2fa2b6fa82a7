// How the memory limit is shared out, so that every buffer of the process has a counted bound and their sum
// stays below the limit. Pure.
//
//   process     a fixed part and a tenth of the limit: the program itself, threads, the structures of logs
//   and
//               topics, and what the allocator loses between pieces
//   tail cache, store queue, index, compaction        the store's (StoreOptions)
//   produce     requests that wait for the store
//   groups      members, assignments and positions of consumer groups
//   consume     answers that wait for the network
//   calls       what each open call or stream takes by itself, of gRPC and of its service
//   transport   gRPC's own buffers for connections and streams
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"

namespace naru::services {

struct ServerOptions;

inline constexpr int64_t kMemoryLimitBytesMin = int64_t{128} << 20;

struct MemoryPlan {
  int64_t limit_bytes = 0;
  int64_t process_bytes = 0;
  int64_t tail_cache_bytes = 0;
  int64_t store_queue_bytes = 0;
  int64_t index_bytes = 0;
  int64_t compaction_bytes = 0;
  int64_t groups_bytes = 0;
  int64_t produce_bytes = 0;
  int64_t consume_bytes = 0;
  int64_t calls_bytes = 0;
  int64_t transport_bytes = 0;
  // Calls that may be open at a time, within calls_bytes.
  int64_t calls_max = 0;

  // gRPC counts a received slice until the last reference to it goes, and requests live on as slices in the
  // queue and in the tail cache; its quota covers those too, and what its calls take.
  int64_t GrpcQuotaBytes() const;
  // How much of one stream may be on the way unread; 0: as the connection's speed suggests, which is the
  // fastest and may be tens of MiB. Fixed where that would be a large part of the transport's share.
  int64_t StreamWindowBytes() const;
};

// Shares given as options stand; what they leave is split among the others. The store's queue is never
// smaller than produce memory: where only one of the two is given, the other follows. INVALID_ARGUMENT when
// the given ones leave too little, or a share is too small for the message limits, or the queue for produce
// memory.
absl::StatusOr<MemoryPlan> PlanMemory(const ServerOptions& options);

}  // namespace naru::services
