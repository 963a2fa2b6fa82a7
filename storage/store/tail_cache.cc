#include "storage/store/tail_cache.h"

#include <algorithm>
#include <utility>

namespace naru {
namespace {

// A batch's bookkeeping beside its bytes.
constexpr int64_t kBatchOverhead = 192;

}  // namespace

int64_t TailCache::CostOf(const StoredBatchView& batch) {
  return static_cast<int64_t>(batch.bytes.size()) + kBatchOverhead;
}

void TailCache::Insert(const std::shared_ptr<Log>& log, StoredBatchView batch) {
  if (CostOf(batch) > bytes_max_) {
    // What is cached must reach to the end.
    Truncate(*log, Offset(0));
    return;
  }
  if (log->cache == nullptr) log->cache = std::make_unique<std::deque<StoredBatchView>>();
  used_bytes_.fetch_add(CostOf(batch), std::memory_order_relaxed);
  order_.push_back({log, batch.base_offset});
  log->cache->push_back(std::move(batch));
}

void TailCache::Truncate(Log& log, Offset end) {
  if (log.cache == nullptr) return;
  while (!log.cache->empty() && log.cache->back().next_offset > end) {
    used_bytes_.fetch_sub(CostOf(log.cache->back()), std::memory_order_relaxed);
    log.cache->pop_back();
  }
  if (log.cache->empty()) log.cache.reset();
}

void TailCache::Evict() {
  while (used_bytes() > bytes_max_ && !order_.empty()) {
    const Place place = std::move(order_.front());
    order_.pop_front();
    const auto log = place.log.lock();
    if (log == nullptr) continue;
    StoredBatchView evicted;  // destroyed without the lock
    absl::MutexLock lock(&log->mutex);
    if (log->cache == nullptr || log->cache->front().base_offset != place.base) continue;
    evicted = std::move(log->cache->front());
    log->cache->pop_front();
    if (log->cache->empty()) log->cache.reset();
    used_bytes_.fetch_sub(CostOf(evicted), std::memory_order_relaxed);
  }
}

bool ReadCached(const Log& log, Offset from, Offset end, int64_t bytes_max,
                std::vector<StoredBatchView>& out) {
  const StoredBatchView* oldest = log.oldest_cached();
  if (oldest == nullptr || from < oldest->base_offset) return false;
  auto at = std::upper_bound(
      log.cache->begin(), log.cache->end(), from,
      [](Offset offset, const StoredBatchView& batch) { return offset < batch.next_offset; });
  int64_t bytes = 0;
  for (; at != log.cache->end() && at->base_offset < end; ++at) {
    bytes += static_cast<int64_t>(at->bytes.size());
    if (!out.empty() && bytes > bytes_max) break;
    out.push_back(*at);
  }
  return true;
}

}  // namespace naru
