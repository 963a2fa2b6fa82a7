// Virtual time: what is to happen, in order. One thread; what is scheduled for the same moment happens in the
// order in which it was scheduled.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/base/clock.h"

namespace naru::sim {

constexpr int64_t kMs = 1'000;  // of Loop's microseconds
constexpr int64_t kSecond = 1'000 * kMs;

class Loop final : public Clock {
 public:
  int64_t now_us() const { return now_us_; }
  int64_t now_ms() const { return now_us_ / kMs; }
  uint64_t steps() const { return steps_; }

  void After(int64_t delay_us, std::function<void()> happen) {
    events_.push({now_us_ + delay_us, ++last_, std::move(happen)});
  }
  // The next event happens. False: there is none.
  bool Step() {
    if (events_.empty()) return false;
    auto happen = std::move(const_cast<Event&>(events_.top()).happen);
    now_us_ = events_.top().time_us;
    events_.pop();
    ++steps_;
    happen();
    return true;
  }

  // Everything worth telling two runs apart by. With `verbose` it is printed, too.
  void Note(std::string_view what);
  uint64_t trace() const { return trace_; }
  void set_verbose(bool verbose) { verbose_ = verbose; }

  // Clock, for what is made of it.
  int64_t NowMs() const override { return 1'700'000'000'000 + now_ms(); }
  int64_t MonotonicNs() const override { return now_us_ * 1'000; }

 private:
  struct Event {
    int64_t time_us;
    uint64_t number;
    std::function<void()> happen;
    bool operator<(const Event& other) const {
      return time_us != other.time_us ? time_us > other.time_us : number > other.number;
    }
  };
  std::priority_queue<Event> events_;
  int64_t now_us_ = 0;
  uint64_t last_ = 0;
  uint64_t steps_ = 0;
  uint64_t trace_ = 14'695'981'039'346'656'037U;
  bool verbose_ = false;
};

// What one host takes for the time.
class HostClock final : public Clock {
 public:
  explicit HostClock(const Loop& loop) : loop_(loop) {}

  // Of the monotonic clock, which never goes back.
  int64_t now_ms() const { return loop_.now_ms() + monotonic_ms_; }
  // The wall clock is wrong by `wall_ms`; the other has jumped ahead by `monotonic_ms`, as that of a machine
  // that was asleep may.
  void Jump(int64_t wall_ms, int64_t monotonic_ms) {
    wall_ms_ = wall_ms;
    monotonic_ms_ += monotonic_ms;
  }

  int64_t NowMs() const override { return loop_.NowMs() + wall_ms_; }
  int64_t MonotonicNs() const override { return now_ms() * 1'000'000; }

 private:
  const Loop& loop_;
  int64_t wall_ms_ = 0;
  int64_t monotonic_ms_ = 0;
};

}  // namespace naru::sim
