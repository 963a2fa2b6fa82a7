// One log in memory: its state and what readers at its tail need. A few hundred bytes while nothing happens
// to it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "storage/base/ids.h"
#include "storage/batch/splice.h"
#include "storage/log/compaction_state.h"
#include "storage/log/log_state.h"
#include "storage/log/log_store.h"
#include "storage/segments/run.h"

namespace naru {

struct Watcher;  // storage/store/watches.h

// Shared by the table and by whatever is under way for the log. The appender changes the state; everyone
// reads it.
struct Log {
  explicit Log(LogId log_id) : id(log_id) {}
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  const LogId id;
  mutable absl::Mutex mutex;

  // The fold of everything written, durable or not yet.
  LogState state ABSL_GUARDED_BY(mutex);
  // Batch bytes since the log was made: before the batch that holds the start, and before the end.
  int64_t bytes_start ABSL_GUARDED_BY(mutex) = 0;
  int64_t bytes_end ABSL_GUARDED_BY(mutex) = 0;
  // What compaction left out of the runs that are in the index.
  int64_t bytes_gone ABSL_GUARDED_BY(mutex) = 0;
  CompactionState compaction ABSL_GUARDED_BY(mutex);
  // Runs that end at or below this have left the index.
  Offset reclaimed_to ABSL_GUARDED_BY(mutex);
  bool deleted ABSL_GUARDED_BY(mutex) = false;
  // How often its end was cut off since the store was opened: what was found out without the lock holds only
  // while this stays the same.
  int64_t truncations ABSL_GUARDED_BY(mutex) = 0;

  // The end of what is in the segments; the state's end runs ahead while a group is being laid out.
  Offset written_end ABSL_GUARDED_BY(mutex);
  Offset durable_end ABSL_GUARDED_BY(mutex);
  Offset readable_end ABSL_GUARDED_BY(mutex);
  LogSettings settings ABSL_GUARDED_BY(mutex);

  // Runs that are written and not yet in the index, oldest first.
  std::vector<Run> tail_runs ABSL_GUARDED_BY(mutex);
  // The newest batches, contiguous up to the end; nullptr when there are none.
  std::unique_ptr<std::deque<StoredBatchView>> cache ABSL_GUARDED_BY(mutex);
  // nullptr when there are none.
  std::unique_ptr<absl::flat_hash_map<uint64_t, std::shared_ptr<Watcher>>> watchers ABSL_GUARDED_BY(mutex);

  // The maintainer's: nothing expires before this time while the start is at `retention_checked_start`.
  int64_t retention_due_ms ABSL_GUARDED_BY(mutex) = 0;
  // The compactor's: not worth a look before this time.
  int64_t compaction_due_ms ABSL_GUARDED_BY(mutex) = 0;
  // The maintainer's: no more runs to give up while the start is here.
  Offset reclaim_checked_start ABSL_GUARDED_BY(mutex) = Offset(-1);

  // The appender's: which of its lists in the group being built is this log's; -1: none.
  int32_t group_slot = -1;

  // Bytes of the batches in [start, end). Runs below the start, and what is gone of them, may be in the index
  // a little longer.
  int64_t size_bytes() const ABSL_SHARED_LOCKS_REQUIRED(mutex) {
    return std::max<int64_t>(bytes_end - bytes_start - bytes_gone, 0);
  }

  // Everything in the state is on stable storage.
  void AllDurable() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    written_end = durable_end = readable_end = state.end();
  }

  bool background() const ABSL_SHARED_LOCKS_REQUIRED(mutex) {
    return settings.durability == Durability::kBackground;
  }
  StoredBatchView const* oldest_cached() const ABSL_SHARED_LOCKS_REQUIRED(mutex) {
    return cache == nullptr || cache->empty() ? nullptr : &cache->front();
  }
};

// The log's row in the index.
std::string EncodeLogRow(const Log& log) ABSL_SHARED_LOCKS_REQUIRED(log.mutex);
// Fills in a fresh log, everything durable. CORRUPT_DATA for bytes that EncodeLogRow did not write.
absl::Status DecodeLogRow(std::string_view row, Log& log) ABSL_EXCLUSIVE_LOCKS_REQUIRED(log.mutex);

}  // namespace naru
