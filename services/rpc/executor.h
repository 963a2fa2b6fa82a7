// A few threads for work that must leave the thread it became due on (the store's, a publisher's, a timer's),
// and one timer for all waits. What a call or stream queues is bounded by its own protocol: at most one task
// each at a time, through its Strand. Thread-safe. Tasks may run short CPU work and must not block.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"

namespace naru::services {

class Executor {
 public:
  using Task = absl::AnyInvocable<void()>;
  using Duration = std::chrono::nanoseconds;
  struct TimerId {
    std::chrono::steady_clock::time_point due;
    uint64_t number = 0;  // 0: no timer
    friend auto operator<=>(const TimerId&, const TimerId&) = default;
  };

  // `threads` ≥ 1, beside the timer's.
  explicit Executor(int threads);
  // As Stop().
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // Runs `task` soon on one of the threads. Dropped after Stop().
  void Run(Task task);
  // Runs `task` on one of the threads once `delay` has passed.
  TimerId RunAfter(Duration delay, Task task);
  // True: it will not run and is destroyed. False: it ran, is about to, or there is none.
  bool Cancel(TimerId timer);
  // Runs what is queued, drops the timers, and joins. Idempotent; not from a task.
  void Stop();

 private:
  void Work();
  void KeepTime();

  absl::Mutex mutex_;
  absl::CondVar work_due_;
  absl::CondVar timers_changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<Task> queue_ ABSL_GUARDED_BY(mutex_);
  std::map<TimerId, Task> timers_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_timer_ ABSL_GUARDED_BY(mutex_) = 1;
  std::vector<std::thread> threads_;
};

}  // namespace naru::services
