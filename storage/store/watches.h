// Watches: one call when a log has something new. Thread-safe.
//
// A watch fires once, from the syncer, the appender or the call that sets it, without locks held. Locks: a
// log's mutex and the one here are never held together.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "storage/base/ids.h"
#include "storage/store/log.h"

namespace naru {

struct Watcher {
  uint64_t id = 0;
  std::shared_ptr<Log> log;
  Offset offset;
  absl::AnyInvocable<void()> fire;
  // Guarded by the shard that holds it.
  bool firing = false;
  std::thread::id firing_thread;
};

class Watches {
 public:
  using Due = std::vector<std::shared_ptr<Watcher>>;

  // As LogStore::Watch, for a log that exists.
  uint64_t Add(const std::shared_ptr<Log>& log, Offset offset, absl::AnyInvocable<void()> fire);
  // As LogStore::CancelWatch.
  bool Cancel(uint64_t id);
  // For ids of watches that fired at once.
  uint64_t NextId() { return next_id_.fetch_add(1, std::memory_order_relaxed); }

  // Takes the log's watchers whose time has come; Fire() them when no lock is held.
  static void TakeDue(Log& log, Due& due) ABSL_EXCLUSIVE_LOCKS_REQUIRED(log.mutex);
  void Fire(Due& due);

 private:
  static constexpr size_t kShards = 16;
  struct Shard {
    absl::Mutex mutex;
    absl::flat_hash_map<uint64_t, std::shared_ptr<Watcher>> watchers ABSL_GUARDED_BY(mutex);
  };

  Shard& ShardOf(uint64_t id) { return shards_[id % kShards]; }

  std::atomic<uint64_t> next_id_{1};
  Shard shards_[kShards];
};

}  // namespace naru
