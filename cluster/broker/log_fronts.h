// What calls need to know of the replicas of this broker, from any thread: whether it leads a log, in which
// epoch, and how far its records are committed. Written by the replicas' loop. Thread-safe.
#pragma once

#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "storage/base/ids.h"
#include "storage/log/log_watches.h"

namespace naru::cluster {

struct LogFront {
  LeaderEpoch leader_epoch;
  // Everything below is committed, and readable.
  Offset high_watermark;
  // It may have been higher under the leader before (rule 11): the end of the log is not known.
  bool knows_end = false;
  // No other broker holds a copy: nobody else can lead it meanwhile.
  bool alone = false;
  // Enough replicas are in sync to commit what is appended.
  bool may_commit = false;
};

class LogFronts {
 public:
  // Nothing: this broker does not lead it.
  std::optional<LogFront> Find(LogId log) const;
  // What is to be told of it from now on; nothing: it is not led any more. Fires watches that this passes.
  // `committed`: of the replica here, leader or not, what is surely committed; 0: there is none.
  void Set(LogId log, std::optional<LogFront> front, Offset committed);
  // Below it everything is committed, and no truncation takes it away. 0 where that is not known.
  Offset CommittedEnd(LogId log) const;

  // As LogStore::Watch, for the high watermark. Of a log that is not led here it fires at once, and of one
  // that was, when it is not any more.
  LogWatches::WatchId Watch(LogId log, Offset offset, absl::AnyInvocable<void()> fire);
  bool CancelWatch(LogWatches::WatchId watch) { return watches_.Cancel(watch); }

 private:
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<LogId, LogFront> fronts_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<LogId, Offset> committed_ ABSL_GUARDED_BY(mutex_);
  LogWatches watches_;
};

}  // namespace naru::cluster
