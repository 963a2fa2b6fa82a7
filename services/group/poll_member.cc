#include "services/group/poll_member.h"

#include <chrono>
#include <utility>

#include "absl/strings/cord.h"
#include "services/rpc/byte_buffer.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::services {
namespace {

// An answer that tells of partitions is about as large at most, but for deliveries.
constexpr int64_t kNoticesBytes = 1 << 20;

}  // namespace

absl::StatusOr<std::shared_ptr<PollMember>> PollMember::Begin(std::shared_ptr<GroupContext> context) {
  if (!context->pollers.Begin()) {
    return MakeError(
        Reason::kTooManyInFlight,
        absl::StrCat(context->pollers.limit(), " members poll already, as many as may; try again"));
  }
  const std::shared_ptr<PollMember> member(new PollMember(std::move(context)));
  member->Attach();
  return member;
}

PollMember::~PollMember() { context().pollers.Gone(); }

void PollMember::Poll(std::shared_ptr<PollCall> call) {
  strand().Run([self = Self(), call = std::move(call)] { self->Take(call); });
}

void PollMember::Take(const std::shared_ptr<PollCall>& call) {
  const naru::v1::PollRequest& request = call->request();
  if (request.has_join()) {
    group_ = request.join().group();
    call_ = call;
    if (absl::Status joined = Join(request.join(), MemberKind::kPoller, call->peer()); !joined.ok()) {
      session().End(std::move(joined));
      return;
    }
    session_timeout_ms_ = session().plan().join.session_timeout_ms;
  } else {
    if (session().finished() || request.member_epoch() != session().member_epoch()) {
      return call->Fail(MakeError(Reason::kMemberFenced,
                                  absl::StrCat("member_epoch: ", request.member_epoch(), " of member ",
                                               request.member_id(), " is over; join again")));
    }
    consume().executor.Cancel(absence_timer_);
    if (call_ != nullptr) {
      consume().executor.Cancel(wait_timer_);
      std::exchange(call_, nullptr)
          ->Fail(MakeError(Reason::kTooManyInFlight, "member_id: a newer call of this member has come"));
    }
    call_ = call;
    for (const int64_t id : request.acked_delivery_ids()) session().Ack("acked_delivery_ids", id);
  }
  waited_ = call_ != nullptr && call->wait() <= std::chrono::nanoseconds(0);
  if (call_ == nullptr) return;  // what it acknowledged was none of it
  if (!waited_) {
    wait_timer_ = consume().executor.RunAfter(call->wait(), [self = Self(), call] {
      self->Post([self, call] { self->waited_ = self->waited_ || self->call_ == call; });
    });
  }
  session().SetDelivering(true);
  if (HasRoom()) WriteOn();
  AfterEvent();
}

void PollMember::OnCancelled(std::shared_ptr<PollCall> call) {
  Post([self = Self(), call = std::move(call)] {
    if (self->call_ != call) return;
    self->consume().executor.Cancel(self->wait_timer_);
    self->call_.reset();
    self->session().SetDelivering(false);
    self->BeginAbsence();
  });
}

void PollMember::OnAnswerLost() {
  Post([this] {
    answer_lost_ = true;
    session().End(
        MakeError(Reason::kMemberFenced,
                  "member_id: an answer to it did not arrive; join again, and what it brought comes again"));
  });
}

void PollMember::AfterEvent() {
  if (session().finished() || !session().joined()) return;
  if (!std::exchange(registered_, true)) context().pollers.Put(group_, session().member_id(), Self());
  if (call_ == nullptr) return;
  const bool settled = session().settled();
  // While anybody waits for memory, perhaps this member for its next delivery, what it has of it goes out.
  const bool pressed = consume().memory->gate().contended();
  const bool enough = !deliveries_.empty() && (deliveries_bytes_ >= call_->bytes_max() || settled || pressed);
  // Who does not want to wait gets what a read brings that has begun.
  const bool over = waited_ && (settled || call_->wait() > std::chrono::nanoseconds(0));
  if (enough || over || notices_bytes_ >= kNoticesBytes) Answer();
}

void PollMember::Tell(const naru::v1::ConsumeResponse& response) {
  switch (response.response_case()) {
    case naru::v1::ConsumeResponse::kAssigned:
      answer_.mutable_assigned()->MergeFrom(response.assigned().partitions());
      break;
    case naru::v1::ConsumeResponse::kRevoking:
      answer_.mutable_revoking()->MergeFrom(response.revoking().partitions());
      break;
    case naru::v1::ConsumeResponse::kFailure:
      *answer_.add_failures() = response.failure();
      break;
    default:
      break;
  }
  write_held_ = true;
  notices_bytes_ += static_cast<int64_t>(response.ByteSizeLong());
  if (notices_bytes_ < kNoticesBytes) Post([self = Self()] { self->WriteOn(); });
}

void PollMember::Deliver(OutgoingMessage message) {
  GroupServiceCounters& counters = context().counters;
  counters.deliveries.fetch_add(1, std::memory_order_relaxed);
  counters.records.fetch_add(message.record_count, std::memory_order_relaxed);
  counters.bytes.fetch_add(message.size_bytes(), std::memory_order_relaxed);
  deliveries_bytes_ += message.size_bytes();
  deliveries_.push_back(std::move(message));
  write_held_ = true;
  // A full answer goes out as it is.
  if (call_ == nullptr || HasRoom()) Post([self = Self()] { self->WriteOn(); });
}

bool PollMember::HasRoom() const {
  return call_ != nullptr && deliveries_bytes_ < call_->bytes_max() && notices_bytes_ < kNoticesBytes;
}

void PollMember::WriteOn() {
  if (std::exchange(write_held_, false)) session().OnWritten(true);
}

void PollMember::Answer() {
  consume().executor.Cancel(wait_timer_);
  // Before what is ready could be put into this answer.
  session().SetDelivering(false);
  if (call_ == nullptr) return;
  if (!call_->Claim()) {
    // Cancelled, which OnCancelled is about to say: what came is for the next call.
    call_.reset();
    return BeginAbsence();
  }
  answer_.set_member_id(session().member_id());
  answer_.set_member_epoch(session().member_epoch());
  absl::Cord body;
  auto unread = std::make_shared<std::vector<std::shared_ptr<const void>>>();
  // No answer is larger than clients take, unless one delivery is.
  int64_t bytes = std::exchange(notices_bytes_, 0);
  auto message = deliveries_.begin();
  for (; message != deliveries_.end(); ++message) {
    const int64_t size = message->size_bytes();
    if (bytes > 0 && bytes + size > consume().options.message_bytes_max) break;
    bytes += size;
    deliveries_bytes_ -= size;
    body.Append(std::move(message->head));
    body.Append(std::move(message->records));
    body.Append(message->batches);
    unread->push_back(consume().memory->HandOver(std::move(message->hold), Self()));
  }
  deliveries_.erase(deliveries_.begin(), message);
  std::exchange(call_, nullptr)->Answer(ToByteBuffer(answer_.SerializeAsString(), body, std::move(unread)));
  answer_.Clear();
  WriteOn();
  BeginAbsence();
}

void PollMember::BeginAbsence() {
  absence_timer_ =
      consume().executor.RunAfter(std::chrono::milliseconds(session_timeout_ms_), [weak = weak_from_this()] {
        const std::shared_ptr<SessionHost> self = weak.lock();
        if (self == nullptr) return;
        auto* member = static_cast<PollMember*>(self.get());
        member->Post([member] {
          if (member->call_ != nullptr) return;
          member->absent_ = true;
          member->session().End(
              MakeError(Reason::kMemberFenced,
                        absl::StrCat("member_id: it did not poll for ", member->session_timeout_ms_,
                                     " ms; join again, or raise session_timeout_ms")));
        });
      });
}

void PollMember::Finish(const absl::Status& status) {
  Close();
  consume().executor.Cancel(wait_timer_);
  consume().executor.Cancel(absence_timer_);
  deliveries_.clear();
  write_held_ = false;
  if (call_ != nullptr) std::exchange(call_, nullptr)->Fail(status);
  if (registered_) context().pollers.Remove(group_, session().member_id(), this);
  // The session must not be called back from here.
  strand().Post([self = Self()] {
    if (self->absent_) {
      self->LeaveGroup();
    } else {
      self->EndMembership(self->answer_lost_);
    }
  });
}

}  // namespace naru::services
