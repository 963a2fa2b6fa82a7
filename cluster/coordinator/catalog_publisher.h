// Hands immutable snapshots from the one who makes them to all who read them.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "cluster/metadata/topic_catalog.h"

namespace naru::cluster {

// Thread-safe. A reader takes an uncontended lock of its own slot and a reference that shares its count with
// that slot's readers only, so readers on different cores do not meet.
class CatalogPublisher final : public CatalogSource {
 public:
  // Starts with an empty catalog of version 0.
  CatalogPublisher();

  // Makes `catalog` current, then calls the watches on this thread. One caller at a time.
  void Publish(TopicCatalog catalog);

  std::shared_ptr<const TopicCatalog> Current() const override;
  WatchId Watch(std::function<void()> changed) override;
  void CancelWatch(WatchId watch) override;

 private:
  static constexpr size_t kSlots = 16;

  struct alignas(64) Slot {
    mutable absl::Mutex mutex;
    std::shared_ptr<const TopicCatalog> catalog ABSL_GUARDED_BY(mutex);
  };

  void Store(const std::shared_ptr<const TopicCatalog>& catalog);

  std::array<Slot, kSlots> slots_;
  // Held while watches run, so that CancelWatch waits for them. Never taken together with a slot's.
  absl::Mutex watches_mutex_;
  std::map<WatchId, std::function<void()>> watches_ ABSL_GUARDED_BY(watches_mutex_);
  WatchId next_watch_ ABSL_GUARDED_BY(watches_mutex_) = 1;
};

}  // namespace naru::cluster
