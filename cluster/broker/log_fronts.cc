#include "cluster/broker/log_fronts.h"

#include <utility>

namespace naru::cluster {

std::optional<LogFront> LogFronts::Find(LogId log) const {
  absl::ReaderMutexLock lock(&mutex_);
  const auto found = fronts_.find(log);
  return found == fronts_.end() ? std::nullopt : std::optional(found->second);
}

Offset LogFronts::CommittedEnd(LogId log) const {
  absl::ReaderMutexLock lock(&mutex_);
  const auto found = committed_.find(log);
  return found == committed_.end() ? Offset(0) : found->second;
}

void LogFronts::Set(LogId log, std::optional<LogFront> front, Offset committed) {
  bool risen = false;
  {
    absl::MutexLock lock(&mutex_);
    if (committed > Offset(0)) {
      committed_[log] = committed;
    } else {
      committed_.erase(log);
    }
    const auto found = fronts_.find(log);
    if (!front) {
      if (found == fronts_.end()) return;
      fronts_.erase(found);
    } else if (found == fronts_.end()) {
      fronts_.emplace(log, *front);
      return;  // nobody can watch it yet
    } else {
      risen = front->high_watermark > found->second.high_watermark;
      found->second = *front;
    }
  }
  if (!front) {
    watches_.FireAll(log);
  } else if (risen) {
    watches_.Fire(log, front->high_watermark);
  }
}

LogWatches::WatchId LogFronts::Watch(LogId log, Offset offset, absl::AnyInvocable<void()> fire) {
  LogWatches::WatchId id = 0;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = fronts_.find(log);
    if (found != fronts_.end() && found->second.high_watermark <= offset) {
      return watches_.Add(log, offset, std::move(fire));
    }
    id = watches_.NextId();
  }
  fire();
  return id;
}

}  // namespace naru::cluster
