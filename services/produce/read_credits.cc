#include "services/produce/read_credits.h"

#include <algorithm>
#include <utility>

namespace naru::services {
namespace {

constexpr std::chrono::milliseconds kIntervalMin{1};
// Looks that found mostly idle streams before it goes faster: messages that are slow to come are no idle
// streams.
constexpr int kPatience = 8;

}  // namespace

bool ReadCredits::Ask(int64_t bytes, Ticket& ticket, absl::AnyInvocable<void()> granted) {
  absl::MutexLock lock(&mutex_);
  const Ticket asked = ticket = ++last_ticket_;
  MemoryGate::Hold hold;
  MemoryGate::WaitId wait = 0;
  gate_.TakeOrWait(
      bytes, hold, wait,
      // Called by whoever gave a credit back, with locks of its own perhaps.
      [weak = weak_from_this(), executor = &executor_, asked,
       granted = std::move(granted)](MemoryGate::Hold later) mutable {
        executor->Run([weak, asked, granted = std::move(granted), later = std::move(later)]() mutable {
          const auto self = weak.lock();
          if (self != nullptr) self->OnGranted(asked, std::move(later), std::move(granted));
        });
      });
  if (wait == 0) {
    Lend(asked, std::move(hold));
    return true;
  }
  waiting_.emplace(asked, wait);
  ArmTimer();
  return false;
}

void ReadCredits::Lend(Ticket ticket, MemoryGate::Hold hold) {
  lent_bytes_ += hold.bytes();
  lent_.emplace(ticket, Lent{std::move(hold), std::chrono::steady_clock::now()});
}

void ReadCredits::OnGranted(Ticket ticket, MemoryGate::Hold hold, absl::AnyInvocable<void()> granted) {
  {
    absl::MutexLock lock(&mutex_);
    if (waiting_.erase(ticket) == 0) return;  // given up meanwhile
    Lend(ticket, std::move(hold));
  }
  granted();
}

MemoryGate::Hold ReadCredits::Use(Ticket ticket, int64_t bytes) {
  MemoryGate::Hold hold;
  {
    absl::MutexLock lock(&mutex_);
    ++used_since_;
    if (const auto it = lent_.find(ticket); it != lent_.end()) {
      hold = std::move(it->second.hold);
      lent_bytes_ -= hold.bytes();
      lent_.erase(it);
    }
  }
  if (hold.bytes() == 0) return gate_.TakeAnyway(bytes);
  hold.Resize(bytes);
  return hold;
}

void ReadCredits::GiveUp(Ticket ticket) {
  absl::MutexLock lock(&mutex_);
  if (const auto it = waiting_.find(ticket); it != waiting_.end()) {
    gate_.CancelWait(it->second);
    waiting_.erase(it);
  }
  if (const auto it = lent_.find(ticket); it != lent_.end()) {
    lent_bytes_ -= it->second.hold.bytes();
    lent_.erase(it);
  }
}

void ReadCredits::ArmTimer() {
  if (std::exchange(timer_armed_, true)) return;
  executor_.RunAfter(interval_, [weak = weak_from_this()] {
    if (const auto self = weak.lock(); self != nullptr) self->Recall();
  });
}

void ReadCredits::Recall() {
  absl::MutexLock lock(&mutex_);
  timer_armed_ = false;
  const int64_t used = std::exchange(used_since_, 0);
  if (waiting_.empty()) {
    idle_looks_ = 0;
    interval_ = idle_;
    return;
  }
  if (gate_.used_bytes() > lent_bytes_) return ArmTimer();  // messages wait for memory
  const Time lent_before = std::chrono::steady_clock::now() - interval_;
  int64_t recalled = 0;
  absl::erase_if(lent_, [&](auto& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (entry.second.since > lent_before) return false;
    lent_bytes_ -= entry.second.hold.bytes();
    ++recalled;
    return true;
  });
  idle_looks_ = recalled > 0 && recalled >= used ? idle_looks_ + 1 : 0;
  interval_ = idle_looks_ > kPatience ? std::max(kIntervalMin, interval_ / 2) : idle_;
  ArmTimer();
}

}  // namespace naru::services
