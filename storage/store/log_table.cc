#include "storage/store/log_table.h"

#include <algorithm>
#include <iterator>

namespace naru {
namespace {

bool Holds(const std::map<LogId, LogId>& intervals, LogId id) {
  auto at = intervals.upper_bound(id);
  return at != intervals.begin() && std::prev(at)->second >= id;
}

}  // namespace

std::shared_ptr<Log> LogTable::Find(LogId id) const {
  absl::ReaderMutexLock lock(&mutex_);
  const auto at = logs_.find(id);
  return at == logs_.end() ? nullptr : at->second;
}

std::vector<LogId> LogTable::Ids() const {
  std::vector<LogId> ids;
  {
    absl::ReaderMutexLock lock(&mutex_);
    ids.reserve(logs_.size());
    for (const auto& [id, log] : logs_) ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

std::vector<std::shared_ptr<Log>> LogTable::All() const {
  std::vector<std::shared_ptr<Log>> all;
  {
    absl::ReaderMutexLock lock(&mutex_);
    all.reserve(logs_.size());
    for (const auto& [id, log] : logs_) all.push_back(log);
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a->id < b->id; });
  return all;
}

size_t LogTable::size() const {
  absl::ReaderMutexLock lock(&mutex_);
  return logs_.size();
}

std::shared_ptr<Log> LogTable::Make(LogId id) {
  absl::MutexLock lock(&mutex_);
  std::shared_ptr<Log>& log = logs_[id];
  if (log == nullptr) log = std::make_shared<Log>(id);
  return log;
}

std::shared_ptr<Log> LogTable::Remove(LogId id) {
  absl::MutexLock lock(&mutex_);
  const auto at = logs_.find(id);
  if (at == logs_.end()) return nullptr;
  std::shared_ptr<Log> log = std::move(at->second);
  logs_.erase(at);
  return log;
}

bool LogTable::IsDead(LogId id) const {
  absl::ReaderMutexLock lock(&mutex_);
  return Holds(dead_, id);
}

std::vector<DeadLogs> LogTable::Dead() const {
  absl::ReaderMutexLock lock(&mutex_);
  std::vector<DeadLogs> dead;
  for (const auto& [first, last] : dead_) dead.push_back({first, last});
  return dead;
}

LogTable::DeadChange LogTable::MarkDead(LogId id) {
  DeadChange change;
  absl::MutexLock lock(&mutex_);
  if (Holds(dead_, id)) return change;
  LogId first = id;
  LogId last = id;
  auto behind = dead_.upper_bound(id);
  if (behind != dead_.end() && behind->first.value() == id.value() + 1) {
    last = behind->second;
    change.removed.push_back(behind->first);
    behind = dead_.erase(behind);
  }
  if (behind != dead_.begin()) {
    const auto before = std::prev(behind);
    if (before->second.value() + 1 == id.value()) first = before->first;
  }
  dead_[first] = last;
  change.put.push_back({first, last});
  return change;
}

void LogTable::ClearDead() {
  absl::MutexLock lock(&mutex_);
  dead_.clear();
}

void LogTable::Clear() {
  absl::MutexLock lock(&mutex_);
  logs_.clear();
  dead_.clear();
}

void LogTable::AddDead(LogId first, LogId last) {
  absl::MutexLock lock(&mutex_);
  dead_[first] = last;
}

}  // namespace naru
