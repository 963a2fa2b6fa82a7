#include "cluster/loop/event_loop.h"

#include <algorithm>
#include <chrono>

#include "storage/base/check.h"

namespace naru::cluster {

EventLoop::~EventLoop() { NARU_CHECK(!thread_.joinable()); }

void EventLoop::Start() {
  NARU_CHECK(!thread_.joinable());
  thread_ = std::thread([this] { Run(); });
}

void EventLoop::Post(Task task) {
  const std::lock_guard lock(mutex_);
  if (joined_) return;
  tasks_.push_back(std::move(task));
  posted_.notify_one();
}

void EventLoop::Join() {
  NARU_CHECK(thread_.get_id() != std::this_thread::get_id());
  if (thread_.joinable()) thread_.join();
  std::vector<Task> unrun;
  {
    const std::lock_guard lock(mutex_);
    joined_ = true;
    unrun.swap(tasks_);
  }
  timers_.clear();
}

void EventLoop::Stop() {
  Post([this] { Quit(); });
  Join();
}

EventLoop::TimerId EventLoop::After(int64_t delay_ms, Task task) {
  const TimerId timer{NowNs() + delay_ms * 1'000'000, next_timer_++};
  timers_.emplace(timer, std::move(task));
  return timer;
}

void EventLoop::Run() {
  while (!quitting_) {
    std::vector<Task> tasks = Await();
    for (Task& task : tasks) {
      if (quitting_) return;
      task();
    }
    RunTimers();
    if (on_idle_ && !quitting_) on_idle_();
  }
}

std::vector<EventLoop::Task> EventLoop::Await() {
  std::unique_lock lock(mutex_);
  const auto posted = [this] { return !tasks_.empty(); };
  if (timers_.empty()) {
    posted_.wait(lock, posted);
  } else {
    const int64_t wait_ns = std::max<int64_t>(0, timers_.begin()->first.first - NowNs());
    posted_.wait_for(lock, std::chrono::nanoseconds(wait_ns), posted);
  }
  return std::exchange(tasks_, {});
}

void EventLoop::RunTimers() {
  const int64_t now_ns = NowNs();
  while (!quitting_ && !timers_.empty() && timers_.begin()->first.first <= now_ns) {
    auto due = timers_.extract(timers_.begin());
    due.mapped()();
  }
}

}  // namespace naru::cluster
