#include "services/group/poll_call.h"

#include <algorithm>
#include <utility>

#include "services/consume/fetch_plan.h"
#include "services/group/poll_member.h"
#include "services/rpc/parse_message.h"
#include "services/rpc/status.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::services {
namespace {

constexpr int64_t kBytesDefault = 1 << 20;

absl::Status NoSession(const std::string& member_id) {
  return MakeError(
      Reason::kMemberFenced,
      absl::StrCat("member_id: ", member_id,
                   " has no session here: it did not poll within its session timeout, or a newer session "
                   "took its place; join again"));
}

}  // namespace

std::shared_ptr<PollCall> PollCall::Make(std::shared_ptr<GroupContext> context,
                                         grpc::CallbackServerContext& grpc, grpc::ByteBuffer& response) {
  const std::shared_ptr<PollCall> call(new PollCall(std::move(context), grpc, response));
  call->self_ = call;
  call->context_->counters.polls.fetch_add(1, std::memory_order_relaxed);
  return call;
}

void PollCall::Start(const grpc::ByteBuffer& buffer) {
  if (absl::Status status = Read(buffer); !status.ok()) return Fail(status);
  std::shared_ptr<PollMember> member;
  if (request_.has_join()) {
    absl::StatusOr<std::shared_ptr<PollMember>> begun = PollMember::Begin(context_);
    if (!begun.ok()) return Fail(begun.status());
    member = *std::move(begun);
  } else {
    member = context_->pollers.Find(request_.group(), request_.member_id());
    if (member == nullptr) return Fail(NoSession(request_.member_id()));
  }
  {
    absl::MutexLock lock(&mutex_);
    member_ = member;
  }
  context_->counters.acks.fetch_add(request_.acked_delivery_ids_size(), std::memory_order_relaxed);
  member->Poll(shared_from_this());
}

absl::Status PollCall::Read(const grpc::ByteBuffer& buffer) {
  const ConsumeOptions& options = context_->consume->options;
  NARU_RETURN_IF_ERROR(context_->consume->CheckOpen());
  NARU_RETURN_IF_ERROR(ParseMessage(buffer, request_));
  if (request_.max_wait_ms() < 0 || request_.max_wait_ms() > options.wait_ms_max) {
    return InvalidField("max_wait_ms", absl::StrCat(request_.max_wait_ms()),
                        absl::StrCat("it is 0 to ", options.wait_ms_max));
  }
  if (request_.max_bytes() < 0) {
    return InvalidField("max_bytes", absl::StrCat(request_.max_bytes()), "it is 0 or more");
  }
  const std::chrono::nanoseconds left = grpc_.deadline() - std::chrono::system_clock::now();
  wait_ = WaitBeforeDeadline(std::chrono::milliseconds(request_.max_wait_ms()), left);
  bytes_max_ =
      std::min(request_.max_bytes() == 0 ? kBytesDefault : request_.max_bytes(), options.message_bytes_max);
  if (request_.has_join()) {
    if (request_.acked_delivery_ids().empty()) return absl::OkStatus();
    return InvalidField("acked_delivery_ids", absl::StrCat("a list of ", request_.acked_delivery_ids_size()),
                        "a new session has delivered nothing yet");
  }
  NARU_RETURN_IF_ERROR(ValidateGroupName("group", request_.group()));
  if (!request_.member_id().empty()) return absl::OkStatus();
  return InvalidField("member_id", "an empty one",
                      "give join in the first call, and then the answer's member_id");
}

bool PollCall::Claim() {
  absl::MutexLock lock(&mutex_);
  return !std::exchange(claimed_, true);
}

void PollCall::Answer(const grpc::ByteBuffer& answer) {
  {
    absl::MutexLock lock(&mutex_);
    answered_well_ = true;
  }
  response_ = answer;  // shares the slices
  Finish(grpc::Status::OK);
}

void PollCall::Fail(const absl::Status& status) {
  if (!Claim()) return;
  context_->counters.errors.Count(status);
  Finish(ToGrpcStatus(status, grpc_));
}

void PollCall::OnCancel() {
  std::shared_ptr<PollMember> member;
  {
    absl::MutexLock lock(&mutex_);
    member = member_.lock();
  }
  if (Claim()) Finish(grpc::Status::CANCELLED);
  if (member != nullptr) member->OnCancelled(shared_from_this());
}

void PollCall::OnDone() {
  std::shared_ptr<PollMember> member;
  {
    absl::MutexLock lock(&mutex_);
    if (answered_well_) member = member_.lock();
  }
  // Only now it is known whether the client saw the answer.
  if (member != nullptr && grpc_.IsCancelled()) member->OnAnswerLost();
  self_.reset();
}

}  // namespace naru::services
