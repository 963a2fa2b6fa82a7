// The streams of a service that are open now, so that all of them can be told something. Thread-safe.
#pragma once

#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"

namespace naru::services {

template <typename Stream>
class OpenStreams {
 public:
  void Add(const std::shared_ptr<Stream>& stream) {
    absl::MutexLock lock(&mutex_);
    streams_.emplace(stream.get(), stream);
  }
  void Remove(const Stream* stream) {
    absl::MutexLock lock(&mutex_);
    streams_.erase(stream);
  }
  // Those open now that still live.
  std::vector<std::shared_ptr<Stream>> All() const {
    std::vector<std::shared_ptr<Stream>> all;
    absl::MutexLock lock(&mutex_);
    all.reserve(streams_.size());
    for (const auto& [key, weak] : streams_) {
      if (std::shared_ptr<Stream> stream = weak.lock()) all.push_back(std::move(stream));
    }
    return all;
  }

 private:
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<const Stream*, std::weak_ptr<Stream>> streams_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace naru::services
