#include "cluster/coordinator/catalog_publisher.h"

#include <atomic>
#include <utility>

namespace naru::cluster {
namespace {

// A number for each thread, given out in turn: neighbours get different slots.
size_t ThreadNumber() {
  static std::atomic<size_t> next{0};
  thread_local const size_t number = next.fetch_add(1, std::memory_order_relaxed);
  return number;
}

}  // namespace

CatalogPublisher::CatalogPublisher() { Store(std::make_shared<const TopicCatalog>()); }

void CatalogPublisher::Publish(TopicCatalog catalog) {
  Store(std::make_shared<const TopicCatalog>(std::move(catalog)));
  absl::MutexLock lock(&watches_mutex_);
  for (const auto& [id, changed] : watches_) changed();
}

std::shared_ptr<const TopicCatalog> CatalogPublisher::Current() const {
  const Slot& slot = slots_[ThreadNumber() % kSlots];
  absl::MutexLock lock(&slot.mutex);
  return slot.catalog;
}

CatalogSource::WatchId CatalogPublisher::Watch(std::function<void()> changed) {
  absl::MutexLock lock(&watches_mutex_);
  watches_.emplace(next_watch_, std::move(changed));
  return next_watch_++;
}

void CatalogPublisher::CancelWatch(WatchId watch) {
  absl::MutexLock lock(&watches_mutex_);
  watches_.erase(watch);
}

void CatalogPublisher::Store(const std::shared_ptr<const TopicCatalog>& catalog) {
  for (Slot& slot : slots_) {
    // A pointer with a reference count of its own that keeps the shared one alive.
    auto holder = std::make_shared<const std::shared_ptr<const TopicCatalog>>(catalog);
    std::shared_ptr<const TopicCatalog> own(std::move(holder), catalog.get());
    {
      absl::MutexLock lock(&slot.mutex);
      slot.catalog.swap(own);
    }
    // The old one goes here, outside the lock.
  }
}

}  // namespace naru::cluster
