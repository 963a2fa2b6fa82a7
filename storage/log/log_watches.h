// The watches of a store's logs: who waits for a log to reach an offset, and calls them once. Holds no log's
// state: the store says what was reached. Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "storage/base/ids.h"

namespace naru {

class LogWatches {
 public:
  using WatchId = uint64_t;

  // A watch that waits for the log to pass `offset`. The caller has just found, under the lock that orders
  // changes of the log, that it has not; else it asks for NextId and fires itself.
  WatchId Add(LogId log, Offset offset, absl::AnyInvocable<void()> fire);
  // The id of a watch that is never added.
  WatchId NextId();

  // As LogStore::CancelWatch.
  bool Cancel(WatchId watch);

  // Calls, in this thread and without locks, everything that waits for the log to pass an offset below
  // `reached`.
  void Fire(LogId log, Offset reached);
  // Calls everything that waits for the log.
  void FireAll(LogId log);
  // Drops all watches uncalled.
  void Clear();

 private:
  struct Waiting {
    WatchId id;
    absl::AnyInvocable<void()> fire;
  };
  struct Place {
    LogId log;
    std::multimap<Offset, Waiting>::iterator at;
  };

  bool FireFirst(LogId log, Offset offset_max);

  absl::Mutex mutex_;
  WatchId last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<LogId, std::multimap<Offset, Waiting>> waiting_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<WatchId, Place> places_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<WatchId, std::thread::id> firing_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace naru
