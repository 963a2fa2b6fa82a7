#include "services/group/membership.h"

#include <algorithm>

#include "storage/base/status.h"

namespace naru::services {

bool Membership::WillPass(const absl::Status& why) {
  const std::optional<Reason> reason = ReasonOf(why);
  return reason == Reason::kCoordinatorLoading || reason == Reason::kNoLeader ||
         reason == Reason::kLeaderChanged || reason == Reason::kNotEnoughReplicas;
}

void Membership::Begin(int64_t session_timeout_ms, int64_t now_ns) {
  state_ = State::kJoining;
  asked_ = true;
  session_timeout_ns_ = session_timeout_ms * 1'000'000;
  deadline_ns_ = now_ns + std::max(session_timeout_ns_, kJoinNsMin);
}

bool Membership::OnJoined() {
  const bool first = joining();
  state_ = first ? State::kMember : State::kResumed;
  return first;
}

void Membership::OnConfirmed() { state_ = State::kMember; }

bool Membership::OnEnded(const absl::Status& why, int64_t now_ns) {
  const bool was_heard = in_touch() || resuming();
  if (was_heard) deadline_ns_ = now_ns + session_timeout_ns_;
  const bool tries = was_heard || joining() || away();
  if (!tries || !WillPass(why) || now_ns + kRetryNs >= deadline_ns_) {
    End();
    return false;
  }
  if (was_heard) state_ = State::kAway;
  asked_ = false;
  try_ns_ = now_ns + kRetryNs;
  why_ = why;
  return true;
}

bool Membership::TakeTry(int64_t now_ns) {
  if (asked_ || (!joining() && state_ != State::kAway) || now_ns < try_ns_) return false;
  asked_ = true;
  return true;
}

std::optional<absl::Status> Membership::Overdue(int64_t now_ns) const {
  if (!away() || now_ns < deadline_ns_) return std::nullopt;
  return why_;
}

std::optional<int64_t> Membership::next_ns() const {
  if (joining() && !asked_) return try_ns_;
  if (!away()) return std::nullopt;
  return state_ == State::kAway && !asked_ ? std::min(try_ns_, deadline_ns_) : deadline_ns_;
}

}  // namespace naru::services
