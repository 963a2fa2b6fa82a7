#include "cluster/loop/event_loop.h"

#include "absl/time/time.h"

namespace naru::cluster {

EventLoop::EventLoop(const Clock& clock) : clock_(clock), thread_([this] { Run(); }) {}

EventLoop::~EventLoop() { Stop(); }

void EventLoop::Post(Task task) {
  absl::MutexLock lock(&mutex_);
  if (stopping_) return;
  tasks_.push_back(std::move(task));
  changed_.Signal();
}

EventLoop::TimerId EventLoop::After(int64_t delay_ms, Task task) {
  absl::MutexLock lock(&mutex_);
  const TimerId id(clock_.MonotonicNs() + delay_ms * 1'000'000, ++last_timer_);
  if (stopping_) return id;
  timers_.emplace(id, std::move(task));
  if (timers_.begin()->first == id) changed_.Signal();
  return id;
}

bool EventLoop::Cancel(TimerId timer) {
  Task dropped;  // without the lock
  absl::MutexLock lock(&mutex_);
  const auto found = timers_.find(timer);
  if (found == timers_.end()) return false;
  dropped = std::move(found->second);
  timers_.erase(found);
  return true;
}

void EventLoop::OnIdle(Task task) { on_idle_ = std::move(task); }

std::vector<EventLoop::Task> EventLoop::Take() {
  absl::MutexLock lock(&mutex_);
  while (true) {
    std::vector<Task> due = std::exchange(tasks_, {});
    const int64_t now_ns = clock_.MonotonicNs();
    while (!timers_.empty() && timers_.begin()->first.first <= now_ns) {
      due.push_back(std::move(timers_.begin()->second));
      timers_.erase(timers_.begin());
    }
    if (!due.empty() || stopping_) return due;
    if (timers_.empty()) {
      changed_.Wait(&mutex_);
    } else {
      changed_.WaitWithTimeout(&mutex_, absl::Nanoseconds(timers_.begin()->first.first - now_ns));
    }
  }
}

void EventLoop::Run() {
  while (true) {
    std::vector<Task> due = Take();
    if (due.empty()) return;
    for (Task& task : due) std::exchange(task, nullptr)();
    if (on_idle_) on_idle_();
  }
}

void EventLoop::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    timers_.clear();
    changed_.Signal();
  }
  if (thread_.joinable() && !IsOwnThread()) thread_.join();
}

}  // namespace naru::cluster
