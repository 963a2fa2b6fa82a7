#include "storage/store/tail_cache.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"

namespace naru {
namespace {

// A batch's bookkeeping beside its bytes.
constexpr int64_t kBatchOverhead = 192;
// So many places without a batch are not worth a sweep.
constexpr size_t kPlacesSpared = 4'096;

}  // namespace

int64_t TailCache::CostOf(const StoredBatchView& batch) {
  return static_cast<int64_t>(batch.bytes.size() + sizeof(uint32_t) * batch.offset_deltas.size()) +
         kBatchOverhead;
}

void TailCache::Insert(const std::shared_ptr<Log>& log, StoredBatchView batch) {
  // Nobody reads of what is empty and tells of no producer.
  if (batch.record_count == 0 && !batch.producer) return;
  if (CostOf(batch) > bytes_max_) {
    // What is cached must reach to the end.
    Truncate(*log, Offset(0));
    return;
  }
  if (log->cache == nullptr) log->cache = std::make_unique<std::deque<StoredBatchView>>();
  used_bytes_.fetch_add(CostOf(batch), std::memory_order_relaxed);
  ++batches_;
  order_.push_back({log, batch.base_offset});
  log->cache->push_back(std::move(batch));
}

void TailCache::Truncate(Log& log, Offset end) {
  if (log.cache == nullptr) return;
  while (!log.cache->empty() && log.cache->back().next_offset > end) {
    used_bytes_.fetch_sub(CostOf(log.cache->back()), std::memory_order_relaxed);
    log.cache->pop_back();
    --batches_;
  }
  if (log.cache->empty()) log.cache.reset();
}

bool TailCache::IsCached(const Log& log, Offset base) {
  absl::ReaderMutexLock lock(&log.mutex);
  const StoredBatchView* oldest = log.oldest_cached();
  return oldest != nullptr && base >= oldest->base_offset && base <= log.cache->back().base_offset;
}

void TailCache::Sweep() {
  std::deque<Place> kept;
  // From the newest back, a log's batches begin lower and lower; a place that does not is of a batch that was
  // truncated and had its offset taken by another.
  absl::flat_hash_map<std::shared_ptr<Log>, Offset> lowest;
  for (; !order_.empty(); order_.pop_back()) {
    const auto log = order_.back().log.lock();
    if (log == nullptr) continue;
    const Offset base = order_.back().base;
    const auto seen = lowest.find(log);
    if ((seen != lowest.end() && base >= seen->second) || !IsCached(*log, base)) continue;
    lowest.insert_or_assign(log, base);
    kept.push_front(std::move(order_.back()));
  }
  order_ = std::move(kept);
}

void TailCache::Evict() {
  if (order_.size() > 2 * batches_ + kPlacesSpared) Sweep();
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
    --batches_;
    if (log->cache->empty()) log->cache.reset();
    used_bytes_.fetch_sub(CostOf(evicted), std::memory_order_relaxed);
  }
}

bool ReadCached(const Log& log, const ReadRequest& request, ReadResult& result) {
  const StoredBatchView* oldest = log.oldest_cached();
  if (oldest == nullptr || request.from < oldest->base_offset) return false;
  auto at = std::upper_bound(
      log.cache->begin(), log.cache->end(), request.from,
      [](Offset offset, const StoredBatchView& batch) { return offset < batch.next_offset; });
  int64_t bytes = 0;
  Offset next = request.from;
  result.next_offset = std::max(request.from, request.end);
  for (; at != log.cache->end() && at->base_offset < request.end; next = at->next_offset, ++at) {
    result.gaps = result.gaps || at->base_offset > next || at->record_count == 0;
    if (at->record_count == 0 && !request.include_emptied) continue;
    bytes += static_cast<int64_t>(at->bytes.size());
    if (result.batches.empty() && bytes > request.first_bytes_max) {
      result.first_batch_bytes = bytes;
      result.next_offset = request.from;
      return true;
    }
    if (!result.batches.empty() && bytes > request.bytes_max) {
      result.next_offset = next;
      return true;
    }
    result.batches.push_back(*at);
  }
  // What stands for the empty end of a log is not cached.
  if (request.include_emptied && at == log.cache->end() && next < request.end) {
    result.batches.clear();
    result.gaps = false;
    result.next_offset = request.from;
    return false;
  }
  if (!result.batches.empty()) {
    result.next_offset = std::max(result.next_offset, result.batches.back().next_offset);
  }
  return true;
}

}  // namespace naru
