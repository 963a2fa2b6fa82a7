// A counted bound on memory at which callers can wait their turn. Whoever is about to hold a client's bytes,
// or bytes for a client, takes them from a gate first; what does not fit waits, in one of two lines, each in
// order of arrival. The prompt line goes first: those who can be trusted to let go soon. While it is not
// empty the late line gets one turn in nine. So nobody starves as long as holders let go.
//
// Thread-safe, and safe to outlive: holds and waits share the gate's state. Grants are called on the thread
// that gave the bytes back, without locks held, so they must only hand the work over to another thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "absl/functional/any_invocable.h"

namespace naru::services {

class MemoryGate {
 private:
  struct State;

 public:
  // Bytes taken, given back on destruction. Movable, not thread-safe.
  class Hold {
   public:
    Hold() = default;
    Hold(Hold&& other) noexcept;
    Hold& operator=(Hold&& other) noexcept;
    ~Hold() { Release(); }
    void Release();
    // Gives back what is above `bytes`, or takes what is missing, over the limit if need be: for bytes that
    // are there already.
    void Resize(int64_t bytes);
    int64_t bytes() const { return bytes_; }

   private:
    friend class MemoryGate;
    Hold(std::shared_ptr<State> state, int64_t bytes) : state_(std::move(state)), bytes_(bytes) {}
    std::shared_ptr<State> state_;
    int64_t bytes_ = 0;
  };

  using WaitId = uint64_t;
  using Granted = absl::AnyInvocable<void(Hold)>;
  enum class Line { kPrompt, kLate };
  // Turns of the prompt line in a row while somebody waits in the late one.
  static constexpr int kPromptTurnsMax = 8;

  // At most `limit_bytes` (> 0) are out at a time. At most `waiting_bytes_max` may be asked for by waits: a
  // bound for callers that wait with the bytes in their hands. `contended` is called, without locks held,
  // when somebody waits and nobody did before, on the thread that does; it must be short.
  explicit MemoryGate(int64_t limit_bytes, int64_t waiting_bytes_max = INT64_MAX,
                      std::function<void()> contended = nullptr);
  MemoryGate(const MemoryGate&) = delete;
  MemoryGate& operator=(const MemoryGate&) = delete;

  // Nothing when that would pass the limit, or others wait in the prompt line. More than the limit counts as
  // the limit.
  std::optional<Hold> TryTake(int64_t bytes);
  // As TryTake, else `granted` is called once, later; never inline. False: too much waits already. On return
  // `wait` names the wait, or is 0 when `hold` has the bytes.
  bool TakeOrWait(int64_t bytes, Hold& hold, WaitId& wait, Granted granted, Line line = Line::kPrompt);
  // Takes, over the limit if need be: for bytes that are there already.
  Hold TakeAnyway(int64_t bytes);
  // True: it will not be called. False: it was, or is being.
  bool CancelWait(WaitId wait);

  int64_t limit_bytes() const;
  int64_t used_bytes() const;
  int64_t waiting_bytes() const;
  // Somebody waits.
  bool contended() const;
  // Somebody waits, or more than a quarter is taken: the time to ask for little.
  bool scarce() const;
  // Takes that had to wait or were refused, since the start.
  int64_t refusals() const;

 private:
  const std::shared_ptr<State> state_;
  const std::function<void()> contended_;
};

}  // namespace naru::services
