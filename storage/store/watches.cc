#include "storage/store/watches.h"

#include <utility>

namespace naru {
namespace {

bool IsDue(const Log& log, Offset offset) ABSL_SHARED_LOCKS_REQUIRED(log.mutex) {
  return log.deleted || log.readable_end > offset || log.state.start() > offset;
}

}  // namespace

uint64_t Watches::Add(const std::shared_ptr<Log>& log, Offset offset, absl::AnyInvocable<void()> fire) {
  const uint64_t id = NextId();
  auto watcher = std::make_shared<Watcher>();
  watcher->id = id;
  watcher->log = log;
  watcher->offset = offset;
  watcher->fire = std::move(fire);
  {
    // Known here first: it may be taken and fired as soon as the log has it.
    Shard& shard = ShardOf(id);
    absl::MutexLock lock(&shard.mutex);
    shard.watchers.emplace(id, watcher);
  }
  Due due;
  {
    absl::MutexLock lock(&log->mutex);
    if (IsDue(*log, offset)) {
      due.push_back(std::move(watcher));
    } else {
      if (log->watchers == nullptr) {
        log->watchers = std::make_unique<absl::flat_hash_map<uint64_t, std::shared_ptr<Watcher>>>();
      }
      log->watchers->emplace(id, std::move(watcher));
    }
  }
  Fire(due);
  return id;
}

bool Watches::Cancel(uint64_t id) {
  Shard& shard = ShardOf(id);
  std::shared_ptr<Watcher> watcher;
  // Someone who is about to fire it may hold on to the watcher; what it captured goes with this call.
  absl::AnyInvocable<void()> dropped;
  {
    absl::MutexLock lock(&shard.mutex);
    const auto at = shard.watchers.find(id);
    if (at == shard.watchers.end()) return false;
    watcher = at->second;
    if (watcher->firing) {
      if (watcher->firing_thread == std::this_thread::get_id()) return false;
      const auto fired = [&shard, id]()
                             ABSL_NO_THREAD_SAFETY_ANALYSIS { return !shard.watchers.contains(id); };
      shard.mutex.Await(absl::Condition(&fired));
      return false;
    }
    dropped = std::move(watcher->fire);
    shard.watchers.erase(at);
  }
  absl::MutexLock lock(&watcher->log->mutex);
  auto& watchers = watcher->log->watchers;
  if (watchers != nullptr) {
    watchers->erase(id);
    if (watchers->empty()) watchers.reset();
  }
  return true;
}

void Watches::TakeDue(Log& log, Due& due) {
  if (log.watchers == nullptr) return;
  for (auto at = log.watchers->begin(); at != log.watchers->end();) {
    if (IsDue(log, at->second->offset)) {
      due.push_back(std::move(at->second));
      log.watchers->erase(at++);
    } else {
      ++at;
    }
  }
  if (log.watchers->empty()) log.watchers.reset();
}

void Watches::Fire(Due& due) {
  for (auto& watcher : due) {
    Shard& shard = ShardOf(watcher->id);
    {
      absl::MutexLock lock(&shard.mutex);
      if (!shard.watchers.contains(watcher->id)) continue;  // cancelled meanwhile
      watcher->firing = true;
      watcher->firing_thread = std::this_thread::get_id();
    }
    watcher->fire();
    watcher->fire = nullptr;  // what it captured goes before a cancel that waits returns
    absl::MutexLock lock(&shard.mutex);
    shard.watchers.erase(watcher->id);
  }
  due.clear();
}

}  // namespace naru
