// Bounds the calls that are open at a time, of all connections and methods together, since each takes memory
// of gRPC and of its service for as long as it lasts. Thread-safe.
//
// Calls of the API that come when as many are open as may be are refused. They, until the refusal is on its
// way, and calls of other services (health checks, reflection) take from an eighth that is kept aside, so
// that a full hub is still seen to be healthy. What comes when that too is used up is cut off, without a
// reason.
#pragma once

#include <atomic>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace naru::services {

class CallLimit {
 public:
  // What is to be done with a call.
  enum class Verdict { kServe, kServeAside, kRefuse, kCutOff };

  // Of the memory that an open call takes, measured for idle subscriptions.
  static constexpr int64_t kCallBytes = int64_t{24} << 10;
  // What `open_max` calls, and those aside, may take; and the most calls that fit into `bytes`.
  static constexpr int64_t BytesOf(int64_t open_max) { return (open_max + AsideOf(open_max)) * kCallBytes; }
  static constexpr int64_t CallsIn(int64_t bytes) {
    const int64_t all = bytes / kCallBytes;
    return all < 9 * kAsideMin ? all - kAsideMin : all * 8 / 9;
  }

  // `open_max` > 0.
  explicit CallLimit(int64_t open_max) : open_max_(open_max), aside_max_(AsideOf(open_max)) {}
  CallLimit(const CallLimit&) = delete;
  CallLimit& operator=(const CallLimit&) = delete;

  // A call has come; `call` names it until End with the same verdict. `of_api`: a service of ours.
  Verdict Begin(const void* call, bool of_api);
  void End(const void* call, Verdict verdict);

  // OK, or the error that ends this call: TOO_MANY_IN_FLIGHT, or COORDINATOR_LOADING before Open.
  absl::Status Check(const void* call) const;

  // No call is served before Open: this broker does not know yet what the cluster's topics are.
  void Close() { closed_.store(true, std::memory_order_relaxed); }
  void Open() { closed_.store(false, std::memory_order_relaxed); }

  int64_t open_max() const { return open_max_; }
  // Calls that are served, without those aside.
  int64_t open() const { return open_.load(std::memory_order_relaxed); }
  // Calls refused or cut off, since the start.
  int64_t refusals() const { return refusals_.load(std::memory_order_relaxed); }

 private:
  static constexpr int64_t kAsideMin = 16;
  static constexpr int64_t AsideOf(int64_t open_max) {
    return open_max < 8 * kAsideMin ? kAsideMin : open_max / 8;
  }
  Verdict Judge(bool of_api);

  const int64_t open_max_;
  const int64_t aside_max_;
  std::atomic<bool> closed_{false};
  std::atomic<int64_t> open_{0};
  std::atomic<int64_t> aside_{0};
  std::atomic<int64_t> refusals_{0};
  // As many as are in refused_calls_, so that calls need no lock while there are none.
  std::atomic<int64_t> refused_open_{0};
  mutable absl::Mutex mutex_;
  absl::flat_hash_set<const void*> refused_calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace naru::services
