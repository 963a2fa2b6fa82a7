// A member that polls: its session, which lives on between its calls. Each call takes acks, lets the session
// deliver, and is answered once something came and nothing more is about to, or its wait is over. Between
// calls nothing is delivered; a member that does not call within its session timeout leaves its group.
//
// Owned by the calls and, once it has joined, by PollMembers.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "naru/v1/group.pb.h"
#include "services/group/poll_call.h"
#include "services/group/session_host.h"

namespace naru::services {

class PollMember final : public SessionHost, public ConsumeMemory::Reader {
 public:
  // TOO_MANY_IN_FLIGHT when there are too many.
  static absl::StatusOr<std::shared_ptr<PollMember>> Begin(std::shared_ptr<GroupContext> context);
  ~PollMember() override;

  // The next step: a call that is open fails with TOO_MANY_IN_FLIGHT. Any thread.
  void Poll(std::shared_ptr<PollCall> call);
  // Any thread.
  void OnCancelled(std::shared_ptr<PollCall> call);
  // A call was answered and its client did not see that: what it brought would be outstanding for long, so
  // the session ends, and it comes again when the member joins again. Any thread.
  void OnAnswerLost();

  // Its client does not take an answer: that is gRPC's to end, by the call's deadline or keepalive.
  void CutOff() override {}

 private:
  explicit PollMember(std::shared_ptr<GroupContext> context) : SessionHost(std::move(context)) {}
  std::shared_ptr<PollMember> Self() { return std::static_pointer_cast<PollMember>(shared_from_this()); }

  // All of these in the strand.
  void Take(const std::shared_ptr<PollCall>& call);
  void AfterEvent() override;
  void Tell(const naru::v1::ConsumeResponse& response) override;
  void Deliver(OutgoingMessage message) override;
  void Finish(const absl::Status& status) override;
  // What was written was taken.
  void WriteOn();
  // Whether the answer may grow.
  bool HasRoom() const;
  void Answer();
  // No call is open: the member may be gone.
  void BeginAbsence();

  std::shared_ptr<PollCall> call_;
  Executor::TimerId wait_timer_;
  bool waited_ = false;
  Executor::TimerId absence_timer_;
  std::string group_;
  int64_t session_timeout_ms_ = 0;
  bool registered_ = false;
  bool answer_lost_ = false;  // its client is probably there, and about to join again
  bool absent_ = false;       // it did not poll for its session timeout
  // For the next answer, or the one after it where they are too large for one.
  naru::v1::PollResponse answer_;
  std::vector<OutgoingMessage> deliveries_;
  int64_t deliveries_bytes_ = 0;
  int64_t notices_bytes_ = 0;
  bool write_held_ = false;  // until there is a call with room
};

}  // namespace naru::services
