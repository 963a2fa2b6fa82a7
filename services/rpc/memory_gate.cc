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
  using Waiters = std::map<WaitId, Waiter>;
  struct Grant {
    Granted granted;
    Hold hold;
  };

  State(int64_t limit, int64_t waiting_max) : limit_bytes(limit), waiting_bytes_max(waiting_max) {}

  bool contended() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) { return !prompt.empty() || !late.empty(); }

  // Whoever comes now may take at once.
  bool Fits(int64_t bytes, Line line) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (!prompt.empty() || used_bytes + bytes > limit_bytes) return false;
    return late.empty() || (line == Line::kPrompt && prompt_turns < kPromptTurnsMax);
  }

  Hold Take(int64_t bytes, Line line) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    used_bytes += bytes;
    prompt_turns = line == Line::kLate || late.empty() ? 0 : prompt_turns + 1;
    return Hold(shared_from_this(), bytes);
  }

  // Takes for those whose turn it is, while they fit. The caller calls them after unlocking.
  std::vector<Grant> TakeGrants() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    std::vector<Grant> grants;
    while (contended()) {
      const bool late_turn = prompt.empty() || (!late.empty() && prompt_turns >= kPromptTurnsMax);
      Waiters& waiters = late_turn ? late : prompt;
      if (used_bytes + waiters.begin()->second.bytes > limit_bytes) break;
      Waiter waiter = std::move(waiters.begin()->second);
      waiters.erase(waiters.begin());
      waiting_bytes -= waiter.bytes;
      grants.push_back(
          {std::move(waiter.granted), Take(waiter.bytes, late_turn ? Line::kLate : Line::kPrompt)});
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
      grants = TakeGrants();
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
  Waiters prompt ABSL_GUARDED_BY(mutex);
  Waiters late ABSL_GUARDED_BY(mutex);
  // Of the prompt line, since the late one had its last.
  int prompt_turns ABSL_GUARDED_BY(mutex) = 0;
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

MemoryGate::MemoryGate(int64_t limit_bytes, int64_t waiting_bytes_max, std::function<void()> contended)
    : state_(std::make_shared<State>(limit_bytes, waiting_bytes_max)), contended_(std::move(contended)) {}

std::optional<MemoryGate::Hold> MemoryGate::TryTake(int64_t bytes) {
  bytes = std::min(bytes, state_->limit_bytes);
  absl::MutexLock lock(&state_->mutex);
  if (state_->Fits(bytes, Line::kPrompt)) return state_->Take(bytes, Line::kPrompt);
  ++state_->refusals;
  return std::nullopt;
}

bool MemoryGate::TakeOrWait(int64_t bytes, Hold& hold, WaitId& wait, Granted granted, Line line) {
  bytes = std::min(bytes, state_->limit_bytes);
  wait = 0;
  hold.Release();
  bool first = false;
  {
    absl::MutexLock lock(&state_->mutex);
    if (state_->Fits(bytes, line)) {
      hold = state_->Take(bytes, line);  // released above, so that nothing is given back under the lock
      return true;
    }
    ++state_->refusals;
    if (bytes > state_->waiting_bytes_max - state_->waiting_bytes) return false;
    first = !state_->contended();
    state_->waiting_bytes += bytes;
    wait = state_->next_wait++;
    auto& waiters = line == Line::kPrompt ? state_->prompt : state_->late;
    waiters.emplace(wait, State::Waiter{bytes, std::move(granted)});
  }
  if (first && contended_) contended_();
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
    auto* waiters = state_->prompt.contains(wait) ? &state_->prompt : &state_->late;
    const auto it = waiters->find(wait);
    if (it == waiters->end()) return false;
    cancelled = std::move(it->second);
    waiters->erase(it);
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
  return state_->contended();
}
bool MemoryGate::scarce() const {
  absl::MutexLock lock(&state_->mutex);
  return state_->contended() || state_->used_bytes > state_->limit_bytes / 4;
}
int64_t MemoryGate::refusals() const {
  absl::MutexLock lock(&state_->mutex);
  return state_->refusals;
}

}  // namespace naru::services
