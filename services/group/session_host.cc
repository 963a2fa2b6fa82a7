#include "services/group/session_host.h"

#include <random>
#include <utility>

#include "absl/strings/string_view.h"
#include "cluster/metadata/random_id.h"

namespace naru::services {
namespace {

// As good as never twice.
uint64_t RandomRequester() {
  std::random_device random;
  return std::uniform_int_distribution<uint64_t>(1)(random);
}

}  // namespace

SessionHost::SessionHost(std::shared_ptr<GroupContext> context)
    : context_(std::move(context)),
      strand_(consume().executor),
      store_(consume(), strand_, *this),
      session_(consume().options, consume().clock, *this) {}

absl::Status SessionHost::Join(const naru::v1::Join& join, MemberKind kind, const std::string& peer) {
  NARU_RETURN_IF_ERROR(consume().CheckOpen());
  NARU_ASSIGN_OR_RETURN(JoinPlan plan,
                        PlanJoin(join, kind, peer, *consume().catalog.Current(), consume().options));
  if (plan.join.member_id.empty()) plan.join.member_id = cluster::RandomIdDigits();
  plan.join.attempt.requester = RandomRequester();
  session_.Join(std::move(plan));
  ArmTick();
  return absl::OkStatus();
}

void SessionHost::Post(absl::AnyInvocable<void()> task) {
  strand_.Post([self = shared_from_this(), task = std::move(task)]() mutable {
    if (self->session_.finished()) return;
    task();
    self->AfterEvent();
  });
}

void SessionHost::OnJoined(const std::string& member_id, int64_t member_epoch) {
  Post([this, member_id, member_epoch] {
    session_.OnJoined(member_id, member_epoch);
    // From now on there is something to keep time for.
    ArmTick();
  });
}

void SessionHost::OnAssigned(
    const std::map<cluster::GroupPartition, std::optional<cluster::CommittedOffset>>& partitions) {
  Post([this, partitions] { session_.OnAssigned(partitions); });
}

void SessionHost::OnRevoking(const std::set<cluster::GroupPartition>& partitions) {
  Post([this, partitions] { session_.OnRevoking(partitions); });
}

void SessionHost::OnEnded(const absl::Status& why) {
  // It may have finished: then it need not be told that it is over.
  strand_.Post([self = shared_from_this(), why] {
    self->session_.OnEnded(why);
    self->ArmTick();  // it may try again
    self->AfterEvent();
  });
}

void SessionHost::Stop() {
  Post([this] { session_.End(consume().CheckOpen()); });
}

void SessionHost::OnFound(Lane lane, const absl::StatusOr<std::optional<TimedOffset>>& found) {
  session_.OnFound(lane, found);
  AfterEvent();
}

void SessionHost::OnRead(Lane lane, absl::StatusOr<ReadResult> result, MemoryGate::Hold hold) {
  session_.OnRead(lane, std::move(result), std::move(hold));
  AfterEvent();
}

void SessionHost::OnReadable(Lane lane) {
  session_.OnReadable(lane);
  AfterEvent();
}

void SessionHost::Join(const std::string& group, const cluster::JoinGroup& join) {
  group_ = group;
  number_ = context_->groups.Join(group, join, shared_from_this());
}

void SessionHost::Commit(GroupSession::CommitNumber number, cluster::CommitOffsets commit) {
  context_->counters.commits.fetch_add(1, std::memory_order_relaxed);
  commit.session = number_;
  context_->groups.Commit(group_, std::move(commit),
                          [self = shared_from_this(), number](absl::Status status) {
                            self->Post([self, number, status = std::move(status)] {
                              self->session_.OnCommitted(number, status);
                              if (!status.ok()) self->ArmTick();  // it may go out again
                            });
                          });
}

void SessionHost::Release(const std::set<cluster::GroupPartition>& partitions) {
  context_->groups.Release(number_, partitions);
}

void SessionHost::Leave() { context_->groups.Leave(number_); }

void SessionHost::Close() {
  consume().executor.Cancel(tick_);
  store_.Close();
}

void SessionHost::EndMembership(bool gone) {
  if (number_ == 0 || !session_.to_be_lost()) return;
  if (session_.leaves() && !gone) {
    context_->groups.Leave(number_);
  } else {
    context_->groups.Lose(number_);
  }
}

void SessionHost::LeaveGroup() {
  if (number_ != 0 && session_.to_be_lost()) context_->groups.Leave(number_);
}

void SessionHost::ArmTick() {
  if (session_.finished()) return;
  consume().executor.Cancel(tick_);
  const uint64_t number = ++tick_number_;
  tick_ = consume().executor.RunAfter(session_.NextTick(), [weak = weak_from_this(), number] {
    if (const std::shared_ptr<SessionHost> self = weak.lock()) {
      self->strand_.Post([self, number] {
        if (number == self->tick_number_) self->Tick();
      });
    }
  });
}

void SessionHost::Tick() {
  if (session_.finished()) return;
  session_.OnTick();
  AfterEvent();
  ArmTick();
}

}  // namespace naru::services
