// What a disk and time do to the store, done by hand.
#include <algorithm>
#include <deque>
#include <utility>

#include "storage/log/memory_log_store.h"

namespace naru {

void MemoryLogStore::HoldDurability(bool hold) {
  After after;
  {
    absl::MutexLock lock(&mutex_);
    if (hold && !durable_) durable_ = contents_;
    if (!hold) {
      while (!waiting_.empty()) MakeOldestDurable(after);
      durable_.reset();
    }
  }
  Run(std::move(after));
}

size_t MemoryLogStore::MakeDurable(size_t changes) {
  After after;
  size_t made = 0;
  {
    absl::MutexLock lock(&mutex_);
    for (; made < changes && !waiting_.empty(); ++made) MakeOldestDurable(after);
  }
  Run(std::move(after));
  return made;
}

size_t MemoryLogStore::waiting_changes() const {
  absl::MutexLock lock(&mutex_);
  return waiting_.size();
}

void MemoryLogStore::SetStorageFull(bool full) {
  absl::MutexLock lock(&mutex_);
  storage_full_ = full;
}

void MemoryLogStore::RunMaintenance() {
  After after;
  {
    absl::MutexLock lock(&mutex_);
    if (stopped_) return;
    for (const auto& [log, live] : live_) {
      const MemoryLog& contents = contents_.logs[log];
      const Offset start = contents.RetentionStart(live.settings, clock_.NowMs(), live.readable_end);
      if (start > contents.state().start()) MoveStartTo(log, start, nullptr, after);
    }
  }
  Run(std::move(after));
}

size_t MemoryLogStore::Restart(size_t torn_batches) {
  std::deque<Waiting> dropped;  // destroyed without the lock
  absl::MutexLock lock(&mutex_);
  size_t torn = 0;
  if (durable_ && !waiting_.empty() && waiting_.front().batches != nullptr) {
    const std::vector<StoredBatchView>& batches = *waiting_.front().batches;
    torn = std::min(torn_batches, batches.size() - 1);
    AppendTo(durable_->logs[waiting_.front().log], batches, torn);
  }
  if (durable_) contents_ = *durable_;
  dropped.swap(waiting_);
  waiting_bytes_ = 0;
  live_.clear();
  for (const auto& [log, contents] : contents_.logs) {
    live_[log] = {LogSettings{}, contents.state().end(), contents.state().end(), 0};
  }
  watches_.Clear();
  stopped_ = false;
  storage_full_ = false;
  return torn;
}

bool MemoryLogStore::Thin(LogId log, Offset base_offset, const std::vector<uint32_t>& offset_deltas,
                          const absl::Cord& bytes) {
  absl::MutexLock lock(&mutex_);
  const auto thin = [&](Contents& contents) {
    const auto at = contents.logs.find(log);
    return at != contents.logs.end() && at->second.Thin(base_offset, offset_deltas, bytes);
  };
  if (durable_ && !thin(*durable_)) return false;
  return thin(contents_);
}

bool MemoryLogStore::Damage(LogId log, Offset offset) {
  absl::MutexLock lock(&mutex_);
  const auto damage = [log, offset](Contents& contents) {
    const auto at = contents.logs.find(log);
    return at != contents.logs.end() && at->second.Damage(offset);
  };
  if (durable_) damage(*durable_);
  return damage(contents_);
}

}  // namespace naru
