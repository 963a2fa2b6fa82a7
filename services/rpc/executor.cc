#include "services/rpc/executor.h"

#include <utility>

#include "absl/time/time.h"

namespace naru::services {

Executor::Executor(int threads) {
  threads_.reserve(static_cast<size_t>(threads) + 1);
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Work(); });
  threads_.emplace_back([this] { KeepTime(); });
}

Executor::~Executor() { Stop(); }

void Executor::Run(Task task) {
  absl::MutexLock lock(&mutex_);
  if (stopping_) return;
  queue_.push_back(std::move(task));
  work_due_.Signal();
}

Executor::TimerId Executor::RunAfter(Duration delay, Task task) {
  absl::MutexLock lock(&mutex_);
  if (stopping_) return {};
  const TimerId timer{std::chrono::steady_clock::now() + delay, next_timer_++};
  const auto it = timers_.emplace(timer, std::move(task)).first;
  if (it == timers_.begin()) timers_changed_.Signal();
  return timer;
}

bool Executor::Cancel(TimerId timer) {
  Task cancelled;  // destroyed after the lock is released
  absl::MutexLock lock(&mutex_);
  const auto it = timers_.find(timer);
  if (it == timers_.end()) return false;
  cancelled = std::move(it->second);
  timers_.erase(it);
  return true;
}

void Executor::Stop() {
  std::map<TimerId, Task> dropped;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    dropped.swap(timers_);
    work_due_.SignalAll();
    timers_changed_.SignalAll();
  }
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void Executor::Work() {
  while (true) {
    Task task;
    {
      absl::MutexLock lock(&mutex_);
      while (queue_.empty() && !stopping_) work_due_.Wait(&mutex_);
      if (queue_.empty()) return;
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    task();
  }
}

void Executor::KeepTime() {
  absl::MutexLock lock(&mutex_);
  while (!stopping_) {
    if (timers_.empty()) {
      timers_changed_.Wait(&mutex_);
      continue;
    }
    const auto first = timers_.begin();
    const auto left = first->first.due - std::chrono::steady_clock::now();
    if (left.count() > 0) {
      timers_changed_.WaitWithTimeout(&mutex_, absl::FromChrono(left));
      continue;
    }
    queue_.push_back(std::move(first->second));
    timers_.erase(first);
    work_due_.Signal();
  }
}

}  // namespace naru::services
