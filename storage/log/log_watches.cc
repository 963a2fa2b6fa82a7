#include "storage/log/log_watches.h"

#include <utility>

namespace naru {

LogWatches::WatchId LogWatches::Add(LogId log, Offset offset, absl::AnyInvocable<void()> fire) {
  absl::MutexLock lock(&mutex_);
  const WatchId id = ++last_id_;
  const auto at = waiting_[log].emplace(offset, Waiting{id, std::move(fire)});
  places_.emplace(id, Place{log, at});
  return id;
}

LogWatches::WatchId LogWatches::NextId() {
  absl::MutexLock lock(&mutex_);
  return ++last_id_;
}

bool LogWatches::Cancel(WatchId watch) {
  absl::AnyInvocable<void()> dropped;  // destroyed without the lock: it may own anything
  absl::MutexLock lock(&mutex_);
  const auto place = places_.find(watch);
  if (place != places_.end()) {
    const auto log = waiting_.find(place->second.log);
    dropped = std::move(place->second.at->second.fire);
    log->second.erase(place->second.at);
    if (log->second.empty()) waiting_.erase(log);
    places_.erase(place);
    return true;
  }
  const auto over = [this, watch, me = std::this_thread::get_id()] {
    mutex_.AssertHeld();
    const auto at = firing_.find(watch);
    return at == firing_.end() || at->second == me;
  };
  mutex_.Await(absl::Condition(&over));
  return false;
}

void LogWatches::Fire(LogId log, Offset reached) {
  while (FireFirst(log, reached - 1)) {
  }
}

void LogWatches::FireAll(LogId log) {
  while (FireFirst(log, Offset(INT64_MAX))) {
  }
}

// One at a time, so that a watch behind the one that fires can still be cancelled.
bool LogWatches::FireFirst(LogId log, Offset offset_max) {
  Waiting first;
  {
    absl::MutexLock lock(&mutex_);
    const auto at = waiting_.find(log);
    if (at == waiting_.end() || at->second.begin()->first > offset_max) return false;
    first = std::move(at->second.begin()->second);
    at->second.erase(at->second.begin());
    if (at->second.empty()) waiting_.erase(at);
    places_.erase(first.id);
    firing_.emplace(first.id, std::this_thread::get_id());
  }
  first.fire();
  first.fire = nullptr;  // what it captures goes before a cancel that waits returns
  absl::MutexLock lock(&mutex_);
  firing_.erase(first.id);
  return true;
}

void LogWatches::Clear() {
  decltype(waiting_) dropped;
  absl::MutexLock lock(&mutex_);
  dropped.swap(waiting_);
  places_.clear();
}

}  // namespace naru
