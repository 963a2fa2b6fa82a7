// A small durable ordered map of byte strings, for metadata: written whole batches at a time, synced before
// Write returns. Implemented over RocksDB in storage/index, in memory for tests.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace naru {

// Thread-safe. Calls block on disk: never call from a gRPC thread.
class OrderedMapStore {
 public:
  // A value to put, or nothing to remove the key.
  using Change = std::pair<std::string, std::optional<std::string>>;

  virtual ~OrderedMapStore() = default;
  // All or nothing, durable when it returns.
  virtual absl::Status Write(const std::vector<Change>& changes) = 0;
  virtual absl::StatusOr<std::optional<std::string>> Get(std::string_view key) const = 0;
  // Keys that start with `prefix`, in byte order.
  virtual absl::Status Scan(
      std::string_view prefix,
      const std::function<void(std::string_view key, std::string_view value)>& visit) const = 0;
};

// Durable for as long as the object lives.
class MemoryMapStore final : public OrderedMapStore {
 public:
  absl::Status Write(const std::vector<Change>& changes) override {
    absl::MutexLock lock(&mutex_);
    for (const auto& [key, value] : changes) {
      if (value) {
        map_[key] = *value;
      } else {
        map_.erase(key);
      }
    }
    return absl::OkStatus();
  }
  absl::StatusOr<std::optional<std::string>> Get(std::string_view key) const override {
    absl::MutexLock lock(&mutex_);
    auto it = map_.find(key);
    if (it == map_.end()) return std::nullopt;
    return it->second;
  }
  absl::Status Scan(std::string_view prefix,
                    const std::function<void(std::string_view, std::string_view)>& visit) const override {
    absl::MutexLock lock(&mutex_);
    for (auto it = map_.lower_bound(prefix);
         it != map_.end() && std::string_view(it->first).starts_with(prefix); ++it) {
      visit(it->first, it->second);
    }
    return absl::OkStatus();
  }

 private:
  mutable absl::Mutex mutex_;
  std::map<std::string, std::string, std::less<>> map_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace naru
