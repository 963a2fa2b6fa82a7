// A ClusterStore in memory, for several coordinators of one process: linearizable, with an election that
// whoever stands first wins. Thread-safe.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "cluster/coordinator/cluster_store.h"
#include "cluster/loop/event_loop.h"

namespace naru::cluster {

// What all of them have in common.
class MemoryClusterMetadata {
 public:
  struct Candidate {
    std::string address;
    EventLoop* loop = nullptr;
    ClusterStore::Elected elected;
    ClusterStore::Deposed deposed;
    const void* owner = nullptr;
  };

  void Stand(Candidate candidate) {
    absl::MutexLock lock(&mutex_);
    candidates_.push_back(std::move(candidate));
    if (candidates_.size() == 1) Elect();
  }
  void Leave(const void* owner) {
    absl::MutexLock lock(&mutex_);
    const bool was_elected = !candidates_.empty() && candidates_.front().owner == owner;
    std::erase_if(candidates_, [&](const Candidate& candidate) { return candidate.owner == owner; });
    if (was_elected && !candidates_.empty()) Elect();
  }
  // The elected one stands at the end again, without having been told.
  void Depose() {
    absl::MutexLock lock(&mutex_);
    if (candidates_.size() < 2) return;
    candidates_.push_back(std::move(candidates_.front()));
    candidates_.pop_front();
    Elect();
  }
  std::string ElectedAddress() const {
    absl::MutexLock lock(&mutex_);
    return candidates_.empty() ? "" : candidates_.front().address;
  }
  ClusterMetadata Read() const {
    absl::MutexLock lock(&mutex_);
    return stored_;
  }
  // Waits until what is stored is so, and says whether it is; `so` is called with each state of it.
  bool Await(absl::Duration patience, const std::function<bool(const ClusterMetadata&)>& so) const {
    absl::MutexLock lock(&mutex_);
    const auto stored_is_so = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return so(stored_); };
    return mutex_.AwaitWithTimeout(absl::Condition(&stored_is_so), patience);
  }
  WriteOutcome Write(const MetadataWrite& write) {
    absl::MutexLock lock(&mutex_);
    if (write.term != term_) return WriteOutcome::kDeposed;
    if (write.head != stored_.head) return WriteOutcome::kOvertaken;
    ApplyWrite(write, stored_);
    return WriteOutcome::kWritten;
  }

 private:
  void Elect() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const Candidate& winner = candidates_.front();
    winner.loop->Post([elected = winner.elected, term = ++term_] { elected(term); });
  }

  mutable absl::Mutex mutex_;
  std::deque<Candidate> candidates_ ABSL_GUARDED_BY(mutex_);
  int64_t term_ ABSL_GUARDED_BY(mutex_) = 0;
  ClusterMetadata stored_ ABSL_GUARDED_BY(mutex_);
};

class MemoryClusterStore final : public ClusterStore {
 public:
  MemoryClusterStore(MemoryClusterMetadata& metadata, const Clock& clock)
      : metadata_(metadata), loop_(clock) {
    loop_.Start();
  }
  ~MemoryClusterStore() override { Stop(); }

  void Stand(std::string address, Elected elected, Deposed deposed) override {
    metadata_.Stand({std::move(address), &loop_, std::move(elected), std::move(deposed), this});
  }
  std::string ElectedAddress() const override { return metadata_.ElectedAddress(); }
  void Read(ReadDone done) override {
    loop_.Post([this, done = std::move(done)]() mutable { done(metadata_.Read()); });
  }
  void Write(const MetadataWrite& write, const ClusterMetadata& before, WriteDone done) override {
    loop_.Post([this, write, done = std::move(done)]() mutable { done(metadata_.Write(write)); });
  }
  void Stop() override {
    metadata_.Leave(this);
    loop_.Stop();
  }

 private:
  MemoryClusterMetadata& metadata_;
  EventLoop loop_;
};

}  // namespace naru::cluster
