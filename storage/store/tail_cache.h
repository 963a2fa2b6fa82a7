// The newest batches of all logs in memory, within one bound: the oldest go first, whosever they are. The
// batches are in the logs (Log::cache); this counts them and throws them out.
//
// The appender inserts and evicts; used_bytes() is for everyone.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "storage/store/log.h"

namespace naru {

class TailCache {
 public:
  explicit TailCache(int64_t bytes_max) : bytes_max_(bytes_max) {}

  // `batch` follows what is cached of the log, if anything is.
  void Insert(const std::shared_ptr<Log>& log, StoredBatchView batch)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(log->mutex);
  // Forgets the log's batches at and above `end`.
  void Truncate(Log& log, Offset end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(log.mutex);
  // Comes back within the bound. No log is locked.
  void Evict();

  int64_t used_bytes() const { return used_bytes_.load(std::memory_order_relaxed); }
  // Batches whose turn to be thrown out is kept, some of which may have gone before: at most about twice as
  // many as are cached, and a few thousand. The appender's thread only.
  size_t places() const { return order_.size(); }

 private:
  struct Place {
    std::weak_ptr<Log> log;
    Offset base;
  };
  static int64_t CostOf(const StoredBatchView& batch);
  static bool IsCached(const Log& log, Offset base) ABSL_LOCKS_EXCLUDED(log.mutex);
  // Drops the places of batches that went otherwise than by Evict.
  void Sweep();

  const int64_t bytes_max_;
  std::atomic<int64_t> used_bytes_{0};
  size_t batches_ = 0;
  std::deque<Place> order_;
};

// Copies cached batches into `result`, as LogStore::Read does. False: `request.from` is older than the cache.
bool ReadCached(const Log& log, const ReadRequest& request, ReadResult& result)
    ABSL_SHARED_LOCKS_REQUIRED(log.mutex);

}  // namespace naru
