// A store that stands for election, with waits for what it calls back.
#pragma once

#include <set>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "cluster/etcd/etcd_cluster_store.h"
#include "storage/base/clock.h"
#include "tests/recorded_events.h"
#include "tests/wait_for.h"

namespace naru::testing {

inline constexpr absl::Duration kPatience = absl::Seconds(30);

class Candidate {
 public:
  explicit Candidate(cluster::EtcdOptions options) : store_(std::move(options), clock_, events_) {}
  ~Candidate() { store_.Stop(); }

  void Stand(const std::string& address) {
    store_.Stand(
        address,
        [this](int64_t term) {
          absl::MutexLock lock(&mutex_);
          term_ = term;
        },
        [this](int64_t term) {
          absl::MutexLock lock(&mutex_);
          deposed_.insert(term);
        });
  }
  // The newest term won, greater than `after`; 0 when there was none for half a minute.
  int64_t AwaitElected(int64_t after = 0) {
    absl::MutexLock lock(&mutex_);
    const auto elected = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return term_ > after; };
    return mutex_.AwaitWithTimeout(absl::Condition(&elected), kPatience) ? term_ : 0;
  }
  bool AwaitDeposed(int64_t term) {
    absl::MutexLock lock(&mutex_);
    const auto deposed = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return deposed_.contains(term); };
    return mutex_.AwaitWithTimeout(absl::Condition(&deposed), kPatience);
  }
  bool WasDeposed(int64_t term) const {
    absl::MutexLock lock(&mutex_);
    return deposed_.contains(term);
  }
  int64_t term() const {
    absl::MutexLock lock(&mutex_);
    return term_;
  }
  bool AwaitElectedAddress(const std::string& address) const {
    return WaitFor([&] { return store_.ElectedAddress() == address; });
  }

  absl::StatusOr<cluster::ClusterMetadata> Read() {
    absl::StatusOr<cluster::ClusterMetadata> result;
    absl::Notification done;
    store_.Read([&](absl::StatusOr<cluster::ClusterMetadata> read) {
      result = std::move(read);
      done.Notify();
    });
    done.WaitForNotification();
    return result;
  }
  cluster::WriteOutcome Write(const cluster::MetadataWrite& write,
                              const cluster::ClusterMetadata& before = {}) {
    cluster::WriteOutcome result = cluster::WriteOutcome::kUnknown;
    absl::Notification done;
    store_.Write(write, before, [&](cluster::WriteOutcome outcome) {
      result = outcome;
      done.Notify();
    });
    done.WaitForNotification();
    return result;
  }

  cluster::EtcdClusterStore& store() { return store_; }
  const RecordedEvents& events() const { return events_; }

 private:
  SystemClock clock_;
  RecordedEvents events_;
  mutable absl::Mutex mutex_;
  int64_t term_ ABSL_GUARDED_BY(mutex_) = 0;
  std::set<int64_t> deposed_ ABSL_GUARDED_BY(mutex_);
  cluster::EtcdClusterStore store_;  // the last, so that nothing is called back into what is gone
};

}  // namespace naru::testing
