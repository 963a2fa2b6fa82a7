// One thread that runs tasks in the order in which they were given, and timers. What lives on a loop needs no
// locks: it is touched by its tasks alone.
#pragma once

#include <cstdint>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "storage/base/clock.h"

namespace naru::cluster {

// Thread-safe, but for what says that it is for tasks only.
class EventLoop {
 public:
  using Task = absl::AnyInvocable<void()>;
  using TimerId = std::pair<int64_t, uint64_t>;  // due (ns), number

  // `clock` outlives the loop. Runs from now on.
  explicit EventLoop(const Clock& clock);
  // As Stop().
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Runs `task` soon, on the loop's thread. Dropped after Stop().
  void Post(Task task);
  // Runs `task` on the loop's thread once `delay_ms` have passed; 0 and more.
  TimerId After(int64_t delay_ms, Task task);
  // True: it will not run. False: it ran, or is about to; from the loop's own thread, it ran.
  bool Cancel(TimerId timer);
  // Called after the tasks that were there when the loop woke up, before it waits again: for what is better
  // done once for many of them. From tasks or before the first.
  void OnIdle(Task task);

  int64_t NowMs() const { return clock_.MonotonicNs() / 1'000'000; }
  bool IsOwnThread() const { return std::this_thread::get_id() == thread_.get_id(); }

  // Runs what was posted before, drops timers and everything later, and joins. Idempotent; not from a task.
  void Stop();

 private:
  void Run();
  // What is due now; empty when the loop is to end.
  std::vector<Task> Take();

  const Clock& clock_;
  absl::Mutex mutex_;
  absl::CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Task> tasks_ ABSL_GUARDED_BY(mutex_);
  std::map<TimerId, Task> timers_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_timer_ ABSL_GUARDED_BY(mutex_) = 0;
  Task on_idle_;  // of the thread
  std::thread thread_;
};

}  // namespace naru::cluster
