#include "services/group/group_session.h"

#include <algorithm>
#include <utility>

#include "services/group/offset_commits.h"
#include "services/rpc/status.h"
#include "storage/base/check.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::services {
namespace {

constexpr std::chrono::nanoseconds kTickMax = std::chrono::seconds(5);
// How long a session that has ended waits for its client to take what is being written.
constexpr int64_t kLastWriteNs = 10'000'000'000;
// One message that tells of partitions is about as large at most.
constexpr size_t kNoticeBytes = 1 << 20;

void SetPartition(const cluster::TopicInfo& topic, int32_t partition, auto& message) {
  message.set_topic(topic.name);
  message.set_topic_id(topic.topic_id);
  message.set_partition(partition);
}

}  // namespace

GroupSession::GroupSession(const ConsumeOptions& options, const Clock& clock, Effects& effects)
    : clock_(clock),
      effects_(effects),
      reader_(options, clock, effects),
      last_sent_ns_(clock.MonotonicNs()) {}

void GroupSession::Join(JoinPlan plan) {
  NARU_CHECK(!membership_.begun() && !plan.join.member_id.empty() && plan.join.attempt.requester != 0);
  plan_ = std::move(plan);
  reader_.Begin(plan_.form, plan_.message_bytes_max);
  membership_.Begin(plan_.join.session_timeout_ms, NowNs());
  Ask();
}

void GroupSession::Ack(std::string_view field, int64_t delivery_id) {
  if (finished_) return;
  const absl::StatusOr<AckLedger::Acked> acked = ledger_.Ack(field, delivery_id);
  if (!acked.ok()) return End(acked.status());
  progress_ns_ = NowNs();
  const auto partition = by_ledger_.find(acked->lane);
  if (partition != by_ledger_.end()) {
    if (acked->commit && plan_.commit_mode == naru::v1::COMMIT_MODE_ON_ACK &&
        *acked->commit >= owned_.at(partition->second).least) {
      commits_.Want(partition->second, *acked->commit);
    }
    if (revoking_.contains(partition->second)) ReleaseFinished();
  }
  Go();
}

void GroupSession::Commit(const naru::v1::Commit& commit) {
  absl::StatusOr<cluster::CommittedOffsets> offsets = ReadOffsetCommits(
      commit.offsets(), *effects_.Catalog(), [this](LogId log) { return effects_.Info(log); });
  if (membership_.joining()) {
    offsets = MakeError(Reason::kMemberFenced, "commit: this is no member yet; wait for joined");
  }
  if (offsets.ok()) {
    commits_.Add(commit.commit_id(), *std::move(offsets));
  } else {
    TellResult(commit.commit_id(), offsets.status());
  }
  Go();
}

void GroupSession::TellResult(int64_t commit_id, const absl::Status& status) {
  naru::v1::CommitResult& result = commit_results_.emplace_back();
  result.set_commit_id(commit_id);
  if (!status.ok()) *result.mutable_error() = ToError(status);
}

void GroupSession::Progress() { progress_ns_ = NowNs(); }

void GroupSession::OnHalfClose() {
  half_closed_ = true;
  if (!membership_.begun()) {
    return End(InvalidField("join", "an absent one", "send join before closing"));
  }
  Go();
}

void GroupSession::End(absl::Status status) {
  if (!end_) end_ = std::move(status);
  Go();
}

void GroupSession::SetDelivering(bool delivering) {
  delivering_ = delivering;
  Go();
}

void GroupSession::OnFound(Lane lane, const absl::StatusOr<std::optional<TimedOffset>>& found) {
  if (!finished_) reader_.OnFound(lane, found);
  Go();
}

void GroupSession::OnRead(Lane lane, absl::StatusOr<ReadResult> result, MemoryGate::Hold hold) {
  if (!finished_) reader_.OnRead(lane, std::move(result), std::move(hold));
  Go();
}

void GroupSession::OnReadable(Lane lane) {
  reader_.OnReadable(lane);
  Go();
}

void GroupSession::OnWritten(bool ok) {
  writing_ = false;
  if (!ok) end_ = absl::CancelledError("the client is gone");
  reader_.OnWritten();
  Go();
}

void GroupSession::OnTick() {
  if (finished_) return;
  TryAgain();
  CheckProgress();
  Go();
  if (finished_) return;
  if (end_) {
    if (writing_ && NowNs() - last_sent_ns_ >= kLastWriteNs) effects_.CutOff();
    return;
  }
  if (!membership_.member()) return;
  const bool idle = NowNs() - last_sent_ns_ >= std::chrono::nanoseconds(plan_.idle_interval).count();
  if (!idle || writing_) return;
  naru::v1::ConsumeResponse response;
  response.mutable_idle()->set_time_ms(clock_.NowMs());
  Tell(response);
}

void GroupSession::CheckProgress() {
  const int64_t limit_ns = std::chrono::nanoseconds(plan_.progress_timeout).count();
  if (!membership_.member() || ledger_.outstanding() == 0 || NowNs() - progress_ns_ < limit_ns) return;
  // At once: a client that hangs may not take the end of its stream either.
  membership_.End();
  effects_.Leave();
  if (end_) return;
  end_ =
      MakeError(Reason::kMemberFenced,
                absl::StrCat("progress_timeout_ms: nothing was acknowledged for ",
                             plan_.progress_timeout.count(), " ms, while ", ledger_.outstanding(),
                             " deliveries were outstanding; acknowledge sooner, send progress, or raise it"));
}

std::chrono::nanoseconds GroupSession::NextTick() const {
  std::chrono::nanoseconds left = kTickMax;
  const auto within = [&left](std::chrono::nanoseconds time) { left = std::min(left, time); };
  const auto at = [&](const std::optional<int64_t>& due_ns) {
    if (due_ns && !end_) within(std::chrono::nanoseconds(*due_ns - NowNs()));
  };
  at(membership_.next_ns());
  if (membership_.in_touch()) at(commits_.next_ns());
  if (membership_.member()) {
    within(plan_.idle_interval - std::chrono::nanoseconds(writing_ ? 0 : NowNs() - last_sent_ns_));
    if (ledger_.outstanding() > 0) {
      within(plan_.progress_timeout - std::chrono::nanoseconds(NowNs() - progress_ns_));
    }
  }
  return std::clamp<std::chrono::nanoseconds>(left, std::chrono::milliseconds(1), kTickMax);
}

bool GroupSession::settled() const {
  const bool to_tell = tell_joined_ || !tell_assigned_.empty() || !tell_revoking_.empty() ||
                       !failures_.empty() || !commit_results_.empty();
  if (end_ || writing_ || to_tell || held_ || membership_.joining()) return false;
  return !WantsToDeliver() || (!reader_.ready() && !reader_.reading() && !reader_.queued());
}

void GroupSession::NoteRetired() {
  for (LaneReader::Retired& retired : reader_.TakeRetired()) {
    const auto it = by_lane_.find(retired.lane);
    if (it == by_lane_.end()) continue;
    const Partition partition = it->second;
    Owned& owned = owned_.at(partition);
    const std::optional<Reason> reason = ReasonOf(retired.outcome);
    if (reason == Reason::kShuttingDown) {
      if (!end_) end_ = std::move(retired.outcome);
    } else if (reason == Reason::kOffsetOutOfRange) {
      Restart(partition, owned, std::move(retired.outcome));
    } else if (reason != Reason::kPartitionNotFound && reason != Reason::kTopicNotFound) {
      // Of a topic that was deleted it will be revoked.
      naru::v1::PartitionFailure& failure = failures_.emplace_back();
      failure.set_topic(owned.topic->name);
      failure.set_partition(partition.partition);
      failure.set_next_offset(reader_.position(retired.lane).value());
      *failure.mutable_error() = ToError(retired.outcome);
    }
  }
}

// Where nothing is left the position gets on, too: what is not there is no lag.
void GroupSession::NotePassed() {
  for (const LaneReader::Lane lane : reader_.TakePassed()) {
    const auto it = by_lane_.find(lane);
    if (it == by_lane_.end()) continue;
    const Partition& partition = it->second;
    // What is held is committed and delivered first.
    if (held_ && held_->partition == partition) continue;
    const std::optional<Offset> commit = ledger_.Pass(owned_.at(partition).ledger, reader_.position(lane));
    if (commit && plan_.commit_mode != naru::v1::COMMIT_MODE_EXPLICIT) commits_.Want(partition, *commit);
  }
}

// Retention has passed the position, or it was beyond the end.
void GroupSession::Restart(const Partition& partition, Owned& owned, absl::Status out_of_range) {
  if (plan_.start == naru::v1::START_POLICY_FAIL) {
    if (!end_) end_ = std::move(out_of_range);
    return;
  }
  reader_.Drop(owned.lane);
  by_lane_.erase(owned.lane);
  Read(partition, owned, StartWithout());
}

void GroupSession::Go() {
  while (!finished_) {
    NoteRetired();
    NotePassed();
    if (!commits_.acks_pending()) commits_.Gather();
    SendCommits();
    if (release_waits_) ReleaseFinished();
    if (!delivering_) reader_.PutBackReady();
    if (!writing_) GoWrite();
    if (finished_ || end_) return;
    reader_.Go(WantsToDeliver());
    if (!reader_.has_retired() && !reader_.has_passed()) return;
  }
}

bool GroupSession::WantsToDeliver() const {
  return delivering_ && !half_closed_ && !end_ && membership_.member() &&
         ledger_.outstanding_bytes() < plan_.unacked_bytes_max && ledger_.remembered() < kDeliveriesMax;
}

void GroupSession::GoWrite() {
  if (end_) return Finish(*end_);
  if (const std::optional<naru::v1::ConsumeResponse> notice = TakeNotice()) return Tell(*notice);
  if (held_ && held_commit_ == 0) {
    Held held = *std::move(held_);
    held_.reset();
    if (revoking_.contains(held.partition)) {
      tell_revoking_[held.partition] = owned_.at(held.partition).topic;
    }
    return SendDelivery(held.partition, std::move(held.ready));
  }
  if (reader_.ready() && !held_ && WantsToDeliver()) return TakeReady();
  // Who is away cannot leave.
  if (half_closed_ && !held_ && commits_.idle() && !membership_.away()) Finish(absl::OkStatus());
}

void GroupSession::TakeReady() {
  LaneReader::Ready ready = reader_.TakeReady();
  const Partition partition = by_lane_.at(ready.lane);
  if (plan_.commit_mode != naru::v1::COMMIT_MODE_ON_DELIVERY)
    return SendDelivery(partition, std::move(ready));
  commits_.Want(partition, ready.delivery.next_offset());
  held_.emplace(Held{partition, std::move(ready)});
  held_commit_ = commits_.Gather();
  SendCommits();
}

void GroupSession::SendDelivery(const Partition& partition, LaneReader::Ready ready) {
  const Owned& owned = owned_.at(partition);
  const Delivery& delivery = ready.delivery;
  if (ledger_.outstanding() == 0) progress_ns_ = NowNs();
  naru::v1::GroupDelivery frame;
  frame.set_delivery_id(ledger_.Deliver(owned.ledger, delivery.next_offset(), delivery.size_bytes()));
  SetPartition(*owned.topic, partition.partition, frame);
  frame.set_next_offset(delivery.next_offset().value());
  frame.set_high_watermark(delivery.high_watermark().value());
  frame.set_log_start_offset(delivery.log_start().value());
  const bool full = ready.full;
  OutgoingMessage message = DeliveryMessageOf(frame.SerializeAsString(), std::move(ready));
  writing_ = true;
  last_sent_ns_ = NowNs();
  reader_.OnWriteBegun(message.size_bytes(), full);
  effects_.Deliver(std::move(message));
}

std::optional<naru::v1::ConsumeResponse> GroupSession::TakeNotice() {
  naru::v1::ConsumeResponse response;
  if (std::exchange(tell_joined_, false)) {
    response.mutable_joined()->set_member_id(member_id_);
    response.mutable_joined()->set_member_epoch(member_epoch_);
  } else if (!tell_revoking_.empty()) {
    // Ahead of what is assigned: a partition may have gone and come back.
    for (size_t bytes = 0; !tell_revoking_.empty() && bytes < kNoticeBytes;) {
      const auto next = tell_revoking_.extract(tell_revoking_.begin());
      naru::v1::RevokedPartition& revoked = *response.mutable_revoking()->add_partitions();
      SetPartition(*next.mapped(), next.key().partition, revoked);
      bytes += revoked.ByteSizeLong();
    }
  } else if (!tell_assigned_.empty()) {
    for (size_t bytes = 0; !tell_assigned_.empty() && bytes < kNoticeBytes;) {
      const auto next = tell_assigned_.extract(tell_assigned_.begin());
      naru::v1::AssignedPartition& assigned = *response.mutable_assigned()->add_partitions();
      SetPartition(*owned_.at(next.key()).topic, next.key().partition, assigned);
      if (const std::optional<cluster::CommittedOffset>& committed = next.mapped()) {
        assigned.set_committed_offset(committed->offset);
        assigned.set_metadata(committed->metadata);
      }
      bytes += assigned.ByteSizeLong();
    }
  } else if (!failures_.empty()) {
    *response.mutable_failure() = std::move(failures_.front());
    failures_.pop_front();
  } else if (!commit_results_.empty()) {
    *response.mutable_commit_result() = std::move(commit_results_.front());
    commit_results_.pop_front();
  } else {
    return std::nullopt;
  }
  return response;
}

void GroupSession::Tell(const naru::v1::ConsumeResponse& response) {
  writing_ = true;
  last_sent_ns_ = NowNs();
  reader_.OnWriteBegun(static_cast<int64_t>(response.ByteSizeLong()), false);
  effects_.Tell(response);
}

void GroupSession::Finish(const absl::Status& status) {
  finished_ = true;
  leaves_ = to_be_lost() && plan_.join.instance_id.empty() && !absl::IsCancelled(status) &&
            !absl::IsUnavailable(status) && !absl::IsResourceExhausted(status) &&
            !Membership::WillPass(status);
  // It was acknowledged, so it need not come again.
  commits_.Gather();
  SendCommits();
  effects_.Finish(status);
  reader_.DropReady();
  held_.reset();
}

}  // namespace naru::services
