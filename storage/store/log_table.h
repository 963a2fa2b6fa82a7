// The store's logs by id, and the ids that are dead for ever. Thread-safe.
#pragma once

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "storage/base/ids.h"
#include "storage/segments/control_bodies.h"
#include "storage/store/log.h"

namespace naru {

class LogTable {
 public:
  // nullptr: there is no such log.
  std::shared_ptr<Log> Find(LogId id) const;
  // In order of id.
  std::vector<LogId> Ids() const;
  std::vector<std::shared_ptr<Log>> All() const;
  size_t size() const;

  // The log, made if it is not there.
  std::shared_ptr<Log> Make(LogId id);
  // Takes it out; nullptr when it is not there.
  std::shared_ptr<Log> Remove(LogId id);

  bool IsDead(LogId id) const;
  std::vector<DeadLogs> Dead() const;
  // What marking an id dead makes of the list: rows to replace. `removed` rows go first.
  struct DeadChange {
    std::vector<LogId> removed;  // by their first id
    std::vector<DeadLogs> put;
  };
  DeadChange MarkDead(LogId id);
  void AddDead(LogId first, LogId last);
  void ClearDead();
  // Logs and dead ids.
  void Clear();

 private:
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<LogId, std::shared_ptr<Log>> logs_ ABSL_GUARDED_BY(mutex_);
  // first → last, neither touching nor overlapping.
  std::map<LogId, LogId> dead_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace naru
