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
  NARU_CHECK(membership_ == Membership::kNone && !plan.join.member_id.empty());
  plan_ = std::move(plan);
  reader_.Begin(plan_.form, plan_.message_bytes_max);
  membership_ = Membership::kJoining;
  effects_.Join(plan_.group, plan_.join);
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
      Want(partition->second, *acked->commit);
    }
    if (revoking_.contains(partition->second)) ReleaseFinished();
  }
  Go();
}

void GroupSession::Want(const Partition& partition, Offset next) {
  wanted_[partition] = {.offset = next.value(), .metadata = {}};
}

void GroupSession::Commit(const naru::v1::Commit& commit) {
  absl::StatusOr<cluster::CommittedOffsets> offsets = ReadOffsetCommits(
      commit.offsets(), *effects_.Catalog(), [this](LogId log) { return effects_.Info(log); });
  if (membership_ == Membership::kJoining) {
    offsets = MakeError(Reason::kMemberFenced, "commit: this is no member yet; wait for joined");
  }
  const CommitNumber number = ++last_commit_;
  explicit_commits_[number] = commit.commit_id();
  if (!offsets.ok()) return OnCommitted(number, offsets.status());
  // What was acknowledged before is committed before: the later position of a partition is to stand.
  if (!wanted_.empty()) SendCommit();
  effects_.Commit(number, CommitOf(*std::move(offsets)));
}

void GroupSession::Progress() { progress_ns_ = NowNs(); }

void GroupSession::OnHalfClose() {
  half_closed_ = true;
  if (membership_ == Membership::kNone) {
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

void GroupSession::OnJoined(const std::string& member_id, int64_t member_epoch) {
  if (membership_ != Membership::kJoining) return;
  membership_ = Membership::kMember;
  member_id_ = member_id;
  member_epoch_ = member_epoch;
  tell_joined_ = true;
  Go();
}

void GroupSession::OnAssigned(const std::map<Partition, std::optional<cluster::CommittedOffset>>& granted) {
  if (membership_ != Membership::kMember) return;
  for (const auto& [partition, committed] : granted) {
    Assign(partition, committed);
    if (end_) break;
  }
  Go();
}

void GroupSession::Assign(const Partition& partition,
                          const std::optional<cluster::CommittedOffset>& committed) {
  const std::shared_ptr<const cluster::TopicInfo> topic =
      effects_.Catalog()->FindById(Bytes(partition.topic));
  // Deleted just now: it will be revoked.
  if (topic == nullptr || !FindPartition(*topic, partition.partition).ok()) return;
  if (!committed && plan_.start == naru::v1::START_POLICY_FAIL) {
    end_ =
        MakeError(Reason::kNoCommittedOffset,
                  absl::StrCat("start: nothing is committed for ", topic->name, "/", partition.partition,
                               " in group \"", plan_.group,
                               "\", and the policy is to fail; commit a position, or choose another policy"),
                  {{"topic", topic->name}, {"partition", absl::StrCat(partition.partition)}});
    return;
  }
  if (owned_.size() >= partitions_aside_) {
    if (!effects_.SetAside(LaneReader::kLaneBytes)) {
      end_ = MakeError(Reason::kTooManyInFlight, "the memory for subscriptions is used up; try again");
      return;
    }
    ++partitions_aside_;
  }
  Owned& owned = owned_[partition];
  owned.topic = topic;
  owned.log = topic->partitions[static_cast<size_t>(partition.partition)].log;
  owned.ledger = next_ledger_++;
  by_ledger_[owned.ledger] = partition;
  tell_assigned_[partition] = committed;
  if (committed) {
    Read(partition, owned, {.kind = StartPoint::Kind::kOffset, .offset = Offset(committed->offset)});
  } else {
    Read(partition, owned, StartWithout());
  }
}

StartPoint GroupSession::StartWithout() const {
  return {.kind = plan_.start == naru::v1::START_POLICY_LATEST ? StartPoint::Kind::kLatest
                                                               : StartPoint::Kind::kEarliest};
}

void GroupSession::Read(const Partition& partition, Owned& owned, const StartPoint& start) {
  owned.lane = reader_.Add({.log = owned.log, .start = start, .end = std::nullopt});
  by_lane_[owned.lane] = partition;
  // Where the end is not known there is nothing to commit.
  if (start.kind != StartPoint::Kind::kLatest || reader_.retired(owned.lane)) return;
  // Also while deliveries of before retention passed the position are not acknowledged.
  owned.least = reader_.position(owned.lane);
  // Else whoever has the partition next, with nothing committed, would begin at a later end.
  if (plan_.commit_mode != naru::v1::COMMIT_MODE_EXPLICIT) Want(partition, owned.least);
}

void GroupSession::OnRevoking(const std::set<Partition>& partitions) {
  if (membership_ != Membership::kMember) return;
  for (const Partition& partition : partitions) {
    revoking_.insert(partition);
    const auto it = owned_.find(partition);
    if (it == owned_.end()) continue;
    reader_.Drop(it->second.lane);
    // Who was not told of it need not be told that it goes; and what is held of it comes before.
    const bool held = held_ && held_->partition == partition;
    if (tell_assigned_.erase(partition) == 0 && !held) tell_revoking_[partition] = it->second.topic;
  }
  ReleaseFinished();
  Go();
}

void GroupSession::ReleaseFinished() {
  std::set<Partition> released;
  for (const Partition& partition : revoking_) {
    const auto it = owned_.find(partition);
    if (it != owned_.end()) {
      const Owned& owned = it->second;
      const bool held = held_ && held_->partition == partition;
      if (held || ledger_.outstanding(owned.ledger) > 0) continue;
      ledger_.Drop(owned.ledger);
      by_ledger_.erase(owned.ledger);
      by_lane_.erase(owned.lane);
      owned_.erase(it);
    }
    released.insert(partition);
  }
  if (released.empty()) return;
  for (const Partition& partition : released) revoking_.erase(partition);
  // Ahead of the release: afterwards they would be somebody else's.
  if (!wanted_.empty()) SendCommit();
  effects_.Release(released);
}

void GroupSession::OnEnded(const absl::Status& why) {
  membership_ = Membership::kOver;
  End(why);
}

void GroupSession::SendCommit() {
  commits_.insert(++last_commit_);
  effects_.Commit(last_commit_, CommitOf(std::exchange(wanted_, {})));
}

cluster::CommitOffsets GroupSession::CommitOf(cluster::CommittedOffsets offsets) const {
  return {.member_id = member_id_, .member_epoch = member_epoch_, .offsets = std::move(offsets)};
}

void GroupSession::OnCommitted(CommitNumber number, const absl::Status& status) {
  if (const auto it = explicit_commits_.find(number); it != explicit_commits_.end()) {
    naru::v1::CommitResult& result = commit_results_.emplace_back();
    result.set_commit_id(it->second);
    if (!status.ok()) *result.mutable_error() = ToError(status);
    explicit_commits_.erase(it);
  } else {
    commits_.erase(number);
    if (number == held_commit_) held_commit_ = 0;
    // Whoever joins again is told what is committed.
    if (!status.ok() && !end_) end_ = status;
  }
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
  CheckProgress();
  Go();
  if (finished_) return;
  if (end_) {
    if (writing_ && NowNs() - last_sent_ns_ >= kLastWriteNs) effects_.CutOff();
    return;
  }
  if (membership_ != Membership::kMember) return;
  const bool idle = NowNs() - last_sent_ns_ >= std::chrono::nanoseconds(plan_.idle_interval).count();
  if (!idle || writing_) return;
  naru::v1::ConsumeResponse response;
  response.mutable_idle()->set_time_ms(clock_.NowMs());
  Tell(response);
}

void GroupSession::CheckProgress() {
  const int64_t limit_ns = std::chrono::nanoseconds(plan_.progress_timeout).count();
  if (membership_ != Membership::kMember || ledger_.outstanding() == 0 || NowNs() - progress_ns_ < limit_ns) {
    return;
  }
  // At once: a client that hangs may not take the end of its stream either.
  membership_ = Membership::kOver;
  effects_.Leave();
  if (end_) return;
  end_ =
      MakeError(Reason::kMemberFenced,
                absl::StrCat("progress_timeout_ms: nothing was acknowledged for ",
                             plan_.progress_timeout.count(), " ms, while ", ledger_.outstanding(),
                             " deliveries were outstanding; acknowledge sooner, send progress, or raise it"));
}

std::chrono::nanoseconds GroupSession::NextTick() const {
  if (membership_ != Membership::kMember) return kTickMax;
  std::chrono::nanoseconds left = plan_.idle_interval;
  if (!writing_) left -= std::chrono::nanoseconds(NowNs() - last_sent_ns_);
  if (ledger_.outstanding() > 0) {
    const std::chrono::nanoseconds silent(NowNs() - progress_ns_);
    left = std::min<std::chrono::nanoseconds>(left, plan_.progress_timeout - silent);
  }
  return std::clamp<std::chrono::nanoseconds>(left, std::chrono::milliseconds(1), kTickMax);
}

bool GroupSession::settled() const {
  const bool to_tell = tell_joined_ || !tell_assigned_.empty() || !tell_revoking_.empty() ||
                       !failures_.empty() || !commit_results_.empty();
  if (end_ || writing_ || to_tell || held_ || membership_ == Membership::kJoining) return false;
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
    if (commit && plan_.commit_mode != naru::v1::COMMIT_MODE_EXPLICIT) Want(partition, *commit);
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
    const bool member = membership_ == Membership::kMember;
    if (member && commits_.empty() && !wanted_.empty()) SendCommit();
    if (!delivering_) reader_.PutBackReady();
    if (!writing_) GoWrite();
    if (finished_ || end_) return;
    reader_.Go(WantsToDeliver());
    if (!reader_.has_retired() && !reader_.has_passed()) return;
  }
}

bool GroupSession::WantsToDeliver() const {
  return delivering_ && !half_closed_ && !end_ && membership_ == Membership::kMember &&
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
  if (half_closed_ && !held_ && commits_.empty() && explicit_commits_.empty() && wanted_.empty()) {
    Finish(absl::OkStatus());
  }
}

void GroupSession::TakeReady() {
  LaneReader::Ready ready = reader_.TakeReady();
  const Partition partition = by_lane_.at(ready.lane);
  if (plan_.commit_mode != naru::v1::COMMIT_MODE_ON_DELIVERY)
    return SendDelivery(partition, std::move(ready));
  Want(partition, ready.delivery.next_offset());
  held_.emplace(Held{partition, std::move(ready)});
  SendCommit();
  held_commit_ = last_commit_;
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
            !absl::IsUnavailable(status) && !absl::IsResourceExhausted(status);
  // It was acknowledged, so it need not come again.
  if (membership_ == Membership::kMember && !wanted_.empty()) SendCommit();
  effects_.Finish(status);
  reader_.DropReady();
  held_.reset();
}

}  // namespace naru::services
