// Where a session stands with its group: it asks to be let in, is a member, or is one that lost its
// coordinator and asks to resume; when it asks next, and until when. Pure; times are of the steady clock.
// Thread-unsafe.
//
// A member keeps what it owns for its session timeout after its coordinator, or the one that took over,
// missed it. So a session without a coordinator goes on with all that for as long, and not longer: then
// others may have it.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/status.h"

namespace naru::services {

class Membership {
 public:
  // Between an end, or a refusal, and the next try.
  static constexpr int64_t kRetryNs = 50'000'000;
  // How long one tries to be let in, at least; else as long as the session timeout.
  static constexpr int64_t kJoinNsMin = 10'000'000'000;

  // Whether an error of the group's coordinator is over once its partition of the internal topic has a leader
  // that can write, whoever that is.
  static bool WillPass(const absl::Status& why);

  // The first request to be let in is on its way.
  void Begin(int64_t session_timeout_ms, int64_t now_ns);
  // Let in. True the first time; else the session has resumed, and what it owns is about to be confirmed.
  bool OnJoined();
  void OnConfirmed();
  // The coordinator has ended the session, or refused it. True: it goes on, and tries again. Else it is over.
  bool OnEnded(const absl::Status& why, int64_t now_ns);
  // Whatever was under way is of no interest any more.
  void End() { state_ = State::kOver; }
  // Whether to ask now: once.
  bool TakeTry(int64_t now_ns);
  // Why it was ended, when it has tried to resume for too long.
  std::optional<absl::Status> Overdue(int64_t now_ns) const;
  // When either is due.
  std::optional<int64_t> next_ns() const;

  bool begun() const { return state_ != State::kNone; }
  // Not let in yet.
  bool joining() const { return state_ == State::kJoining; }
  // Owns partitions, also while it is away.
  bool member() const { return in_touch() || away(); }
  // Its coordinator listens to it.
  bool in_touch() const { return state_ == State::kMember; }
  // A member that lost its coordinator, until it has resumed and is confirmed.
  bool away() const { return state_ == State::kAway || state_ == State::kResumed; }
  bool resuming() const { return state_ == State::kResumed; }
  // A coordinator may know the session.
  bool known() const { return in_touch() || resuming() || (asked_ && (joining() || state_ == State::kAway)); }

 private:
  enum class State { kNone, kJoining, kMember, kAway, kResumed, kOver };

  State state_ = State::kNone;
  bool asked_ = false;  // while joining or away: and not answered
  int64_t session_timeout_ns_ = 0;
  int64_t deadline_ns_ = 0;  // while joining or away
  int64_t try_ns_ = 0;       // while not asked_
  absl::Status why_;
};

}  // namespace naru::services
