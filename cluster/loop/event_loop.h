// One thread that runs what it is given, in order, at once or later. It owns whatever its tasks alone touch,
// so that they need no locks.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "storage/base/clock.h"

namespace naru::cluster {

class EventLoop {
 public:
  using Task = absl::AnyInvocable<void()>;
  // By time (steady, nanoseconds), then in the order of After.
  using TimerId = std::pair<int64_t, uint64_t>;

  // `clock` is the system's, and outlives the loop.
  explicit EventLoop(const Clock& clock) : clock_(clock) {}
  // After Join, or without a Start.
  ~EventLoop();

  // Once.
  void Start();
  // Any thread. Tasks run in order. Not limited: who posts has a limit of what may be under way. What did not
  // run before Quit is destroyed unrun by Join, and what is posted later, at once.
  void Post(Task task);
  // Blocks until the loop has quit. Not on the loop's thread. Idempotent.
  void Join();
  // Quits after what was posted before, and joins. As Join.
  void Stop();

  // The rest is for the loop's thread, or before Start.
  TimerId After(int64_t delay_ms, Task task);
  // Of a timer that ran already, or none: does nothing.
  void Cancel(TimerId timer) { timers_.erase(timer); }
  // Called when the tasks that were there have run, before the loop waits again: for what is better done once
  // for many of them.
  void OnIdle(Task task) { on_idle_ = std::move(task); }
  // Nothing runs after the present task.
  void Quit() { quitting_ = true; }
  // Steady.
  int64_t NowNs() const { return clock_.MonotonicNs(); }
  int64_t NowMs() const { return NowNs() / 1'000'000; }

 private:
  void Run();
  // Waits for a task, or for the first timer. Gives what was posted.
  std::vector<Task> Await();
  void RunTimers();

  const Clock& clock_;
  // The standard's: it waits by the steady clock, abseil's by the wall clock, and a lease must not wait for
  // that one when it is set back.
  std::mutex mutex_;
  std::condition_variable posted_;
  std::vector<Task> tasks_;  // mutex_
  bool joined_ = false;      // mutex_

  std::map<TimerId, Task> timers_;
  uint64_t next_timer_ = 1;
  Task on_idle_;
  bool quitting_ = false;
  std::thread thread_;
};

}  // namespace naru::cluster
