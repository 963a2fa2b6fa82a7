#include "services/rpc/memory_gate.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace naru::services {

struct MemoryGate::State : std::enable_shared_from_this<MemoryGate::State> {
  struct Waiter {
    int64_t bytes = 0;
    Granted granted;
  };
  struct Grant {
    Granted granted;
    Hold hold;
  };

  State(int64_t limit, int64_t waiting_max) : limit_bytes(limit), waiting_bytes_max(waiting_max) {}

  bool Fits(int64_t bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    return waiters.empty() && used_bytes + bytes <= limit_bytes;
  }

  // Takes for those in front of the queue that fit now. The caller calls them after unlocking.
  std::vector<Grant> TakeGrants() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    std::vector<Grant> grants;
    while (!waiters.empty() && used_bytes + waiters.begin()->second.bytes <= limit_bytes) {
      Waiter waiter = std::move(waiters.begin()->second);
      waiters.erase(waiters.begin());
      waiting_bytes -= waiter.bytes;
      used_bytes += waiter.bytes;
      grants.push_back({std::move(waiter.granted), Hold(shared_from_this(), waiter.bytes)});
    }
    return grants;
  }

  static void Call(std::vector<Grant> grants) {
    for (Grant& grant : grants) grant.granted(std::move(grant.hold));
  }

  void Give(int64_t bytes) {
    std::vector<Grant> grants;
    {
      absl::MutexLock lock(&mutex);
      used_bytes -= bytes;
      if (!waiters.empty()) grants = TakeGrants();
    }
    Call(std::move(grants));
  }

  const int64_t limit_bytes;
  const int64_t waiting_bytes_max;
  mutable absl::Mutex mutex;
  int64_t used_bytes ABSL_GUARDED_BY(mutex) = 0;
  int64_t waiting_bytes ABSL_GUARDED_BY(mutex) = 0;
  int64_t refusals ABSL_GUARDED_BY(mutex) = 0;
  WaitId next_wait ABSL_GUARDED_BY(mutex) = 1;
  std::map<WaitId, Waiter> waiters ABSL_GUARDED_BY(mutex);
};

MemoryGate::Hold::Hold(Hold&& other) noexcept
    : state_(std::move(other.state_)), bytes_(std::exchange(other.bytes_, 0)) {}

MemoryGate::Hold& MemoryGate::Hold::operator=(Hold&& other) noexcept {
  if (this != &other) {
    Release();
    state_ = std::move(other.state_);
    bytes_ = std::exchange(other.bytes_, 0);
  }
  return *this;
}

void MemoryGate::Hold::Release() {
  const std::shared_ptr<State> state = std::move(state_);
  const int64_t bytes = std::exchange(bytes_, 0);
  if (state != nullptr && bytes > 0) state->Give(bytes);
}

void MemoryGate::Hold::Resize(int64_t bytes) {
  if (state_ == nullptr || bytes == bytes_) return;
  const int64_t give = bytes_ - bytes;
  bytes_ = bytes;
  state_->Give(give);
}

MemoryGate::MemoryGate(int64_t limit_bytes, int64_t waiting_bytes_max)
    : state_(std::make_shared<State>(limit_bytes, waiting_bytes_max)) {}

std::optional<MemoryGate::Hold> MemoryGate::TryTake(int64_t bytes) {
  bytes = std::min(bytes, state_->limit_bytes);
  absl::MutexLock lock(&state_->mutex);
  if (!state_->Fits(bytes)) {
    ++state_->refusals;
    return std::nullopt;
  }
  state_->used_bytes += bytes;
  return Hold(state_, bytes);
}

bool MemoryGate::TakeOrWait(int64_t bytes, Hold& hold, WaitId& wait, Granted granted) {
  bytes = std::min(bytes, state_->limit_bytes);
  wait = 0;
  hold.Release();
  absl::MutexLock lock(&state_->mutex);
  if (state_->Fits(bytes)) {
    state_->used_bytes += bytes;
    hold = Hold(state_, bytes);  // released above, so that nothing is given back under the lock
    return true;
  }
  ++state_->refusals;
  if (bytes > state_->waiting_bytes_max - state_->waiting_bytes) return false;
  state_->waiting_bytes += bytes;
  wait = state_->next_wait++;
  state_->waiters.emplace(wait, State::Waiter{bytes, std::move(granted)});
  return true;
}

MemoryGate::Hold MemoryGate::TakeAnyway(int64_t bytes) {
  absl::MutexLock lock(&state_->mutex);
  state_->used_bytes += bytes;
  return Hold(state_, bytes);
}

bool MemoryGate::CancelWait(WaitId wait) {
  State::Waiter cancelled;  // destroyed after the lock is released
  std::vector<State::Grant> grants;
  {
    absl::MutexLock lock(&state_->mutex);
    const auto it = state_->waiters.find(wait);
    if (it == state_->waiters.end()) return false;
    cancelled = std::move(it->second);
    state_->waiters.erase(it);
    state_->waiting_bytes -= cancelled.bytes;
    grants = state_->TakeGrants();
  }
  State::Call(std::move(grants));
  return true;
}

int64_t MemoryGate::limit_bytes() const { return state_->limit_bytes; }
int64_t MemoryGate::used_bytes() const {
  absl::MutexLock lock(&state_->mutex);
  return state_->used_bytes;
}
int64_t MemoryGate::waiting_bytes() const {
  absl::MutexLock lock(&state_->mutex);
  return state_->waiting_bytes;
}
bool MemoryGate::contended() const {
  absl::MutexLock lock(&state_->mutex);
  return !state_->waiters.empty();
}
int64_t MemoryGate::refusals() const {
  absl::MutexLock lock(&state_->mutex);
  return state_->refusals;
}

}  // namespace naru::services
