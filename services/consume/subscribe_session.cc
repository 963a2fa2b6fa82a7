#include "services/consume/subscribe_session.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/rpc/status.h"
#include "storage/base/status.h"
#include "storage/log/log_state.h"

namespace naru::services {
namespace {

constexpr std::chrono::nanoseconds kTickMax = std::chrono::seconds(5);

}  // namespace

SubscribeSession::SubscribeSession(const ConsumeOptions& options, const Clock& clock, Effects& effects)
    : options_(options),
      clock_(clock),
      effects_(effects),
      reader_(options, clock, effects),
      last_sent_ns_(clock.MonotonicNs()) {}

void SubscribeSession::OnRequest(const naru::v1::SubscribeRequest& request,
                                 const cluster::TopicCatalog& catalog) {
  switch (request.request_case()) {
    case naru::v1::SubscribeRequest::kStart:
      if (started_) return End(InvalidField("start", "a second one", "a stream is started once"));
      Start(request.start(), catalog);
      break;
    case naru::v1::SubscribeRequest::kCredit:
      if (!started_) return End(InvalidField("credit", "one before start", "send start first"));
      AddCredit(request.credit().bytes());
      break;
    case naru::v1::SubscribeRequest::REQUEST_NOT_SET:
      return End(InvalidField("request", "an absent one", "send start first, then credit"));
  }
  Go();
}

void SubscribeSession::Start(const naru::v1::SubscribeStart& start, const cluster::TopicCatalog& catalog) {
  started_ = true;
  absl::StatusOr<SubscribePlan> plan = PlanSubscribe(start, catalog, options_);
  if (!plan.ok()) return End(plan.status());
  plan_ = *std::move(plan);
  credit_ = plan_.credit_bytes;
  reader_.Begin(plan_.form, plan_.message_bytes_max);
  for (const SubscribedPartition& partition : std::exchange(plan_.partitions, {})) {
    if (absl::Status added = AddPartition(partition); !added.ok()) return End(std::move(added));
  }
}

absl::Status SubscribeSession::AddPartition(const SubscribedPartition& plan) {
  if (!effects_.SetAside(LaneReader::kLaneBytes)) {
    return MakeError(Reason::kTooManyInFlight, "the memory for subscriptions is used up; try again");
  }
  partitions_.push_back({.topic = plan.topic, .number = plan.partition, .outcome = {}});
  reader_.Add({.log = plan.log, .start = plan.start, .end = plan.end});
  return absl::OkStatus();
}

void SubscribeSession::AddCredit(int64_t bytes) {
  if (bytes <= 0) return End(InvalidField("credit.bytes", absl::StrCat(bytes), "it is more than 0"));
  if (!credit_) {
    return End(InvalidField("credit", absl::StrCat(bytes, " bytes"),
                            "this stream keeps no credit; start it with credit_bytes above 0"));
  }
  // Credit left may be negative, so this cannot pass the upper bound for long; it stops there.
  const int64_t room = std::numeric_limits<int64_t>::max() - std::max<int64_t>(*credit_, 0);
  *credit_ += std::min(bytes, room);
}

void SubscribeSession::End(absl::Status status) {
  if (!end_) end_ = std::move(status);
  Go();
}

void SubscribeSession::OnHalfClose() {
  half_closed_ = true;
  if (!started_) return End(InvalidField("start", "an absent one", "send start before closing"));
  Go();
}

void SubscribeSession::OnCatalog(const cluster::TopicCatalog& catalog) {
  if (!started_ || finished_ || end_) return;
  for (size_t topic = 0; topic < plan_.topics.size(); ++topic) FollowTopic(topic, catalog);
  Go();
}

void SubscribeSession::FollowTopic(size_t topic, const cluster::TopicCatalog& catalog) {
  SubscribedTopic& followed = plan_.topics[topic];
  const auto it = catalog.topics.find(followed.info->name);
  if (it != catalog.topics.end() && it->second == followed.info) return;
  if (it == catalog.topics.end() || it->second->topic_id != followed.info->topic_id) {
    followed.whole = false;
    const absl::Status gone = cluster::TopicDeleted(followed.info->name);
    for (Lane lane = 0; lane < partitions_.size(); ++lane) {
      if (partitions_[lane].topic == topic) reader_.Retire(lane, gone);
    }
    return;
  }
  const int32_t known = followed.info->partition_count();
  followed.info = it->second;
  for (int32_t i = known; followed.whole && i < followed.info->partition_count(); ++i) {
    const LogId log = followed.info->partitions[static_cast<size_t>(i)].log;
    if (absl::Status added = AddPartition({.topic = topic, .partition = i, .log = log}); !added.ok()) {
      if (!end_) end_ = std::move(added);
      return;
    }
  }
}

void SubscribeSession::NoteRetired() {
  for (LaneReader::Retired& retired : reader_.TakeRetired()) {
    if (ReasonOf(retired.outcome) == Reason::kShuttingDown) {
      if (!end_) end_ = std::move(retired.outcome);
      continue;
    }
    Partition& partition = partitions_[retired.lane];
    partition.outcome = cluster::LogStatusForClient(*effects_.Catalog(), TopicOf(partition), partition.number,
                                                    retired.outcome);
    // What was read before is sent before.
    if (reader_.ready_lane() != retired.lane) notices_.push_back(retired.lane);
  }
}

void SubscribeSession::OnFound(Lane lane, const absl::StatusOr<std::optional<TimedOffset>>& found) {
  if (!finished_) reader_.OnFound(lane, found);
  Go();
}

void SubscribeSession::OnRead(Lane lane, absl::StatusOr<ReadResult> result, MemoryGate::Hold hold) {
  if (!finished_) reader_.OnRead(lane, std::move(result), std::move(hold));
  Go();
}

void SubscribeSession::OnReadable(Lane lane) {
  reader_.OnReadable(lane);
  Go();
}

void SubscribeSession::OnWritten(bool ok) {
  writing_ = false;
  if (!ok) end_ = absl::CancelledError("the client is gone");
  reader_.OnWritten();
  Go();
}

void SubscribeSession::OnTick() {
  const bool idle = NowNs() - last_sent_ns_ >= std::chrono::nanoseconds(plan_.idle_interval).count();
  Go();
  if (started_ && idle && !writing_ && !finished_) Send(IdleMessage());
}

std::chrono::nanoseconds SubscribeSession::NextTick() const {
  if (!started_) return kTickMax;
  std::chrono::nanoseconds left = plan_.idle_interval;
  if (!writing_) left -= std::chrono::nanoseconds(NowNs() - last_sent_ns_);
  return std::clamp<std::chrono::nanoseconds>(left, std::chrono::milliseconds(1), kTickMax);
}

void SubscribeSession::Go() {
  while (!finished_) {
    NoteRetired();
    if (!writing_) GoWrite();
    if (finished_ || end_ || !started_) return;
    reader_.Go(HasCredit());
    if (!reader_.has_retired()) return;
  }
}

void SubscribeSession::GoWrite() {
  if (end_) return Finish(*end_);
  if (!started_) return;
  if (reader_.ready() && HasCredit()) return SendReady();
  if (!notices_.empty()) {
    const Lane lane = notices_.front();
    notices_.pop_front();
    return Send(Notice(lane));
  }
  const bool credit_used_up = half_closed_ && !HasCredit();
  if (credit_used_up || Exhausted()) Finish(absl::OkStatus());
}

void SubscribeSession::Finish(const absl::Status& status) {
  finished_ = true;
  effects_.Finish(status);
  reader_.DropReady();
}

bool SubscribeSession::Exhausted() const {
  if (reader_.ready() || reader_.live_lanes() > 0) return false;
  return std::none_of(plan_.topics.begin(), plan_.topics.end(),
                      [](const SubscribedTopic& topic) { return topic.whole; });
}

void SubscribeSession::Send(Message message, bool full) {
  writing_ = true;
  last_sent_ns_ = NowNs();
  reader_.OnWriteBegun(message.size_bytes(), full);
  effects_.Write(std::move(message));
}

void SubscribeSession::SendReady() {
  LaneReader::Ready ready = reader_.TakeReady();
  const Lane lane = ready.lane;
  const bool full = ready.full;
  Message message = DeliveryMessage(std::move(ready));
  if (credit_) *credit_ -= message.credit_bytes;
  if (reader_.retired(lane)) notices_.push_back(lane);
  Send(std::move(message), full);
}

SubscribeSession::Message SubscribeSession::Notice(Lane lane) const {
  const Partition& partition = partitions_[lane];
  naru::v1::SubscribeResponse response;
  if (partition.outcome.ok()) {
    naru::v1::EndReached& end = *response.mutable_end_reached();
    end.set_topic(TopicOf(partition).name);
    end.set_partition(partition.number);
    end.set_next_offset(reader_.position(lane).value());
  } else {
    naru::v1::PartitionFailure& failure = *response.mutable_failure();
    failure.set_topic(TopicOf(partition).name);
    failure.set_partition(partition.number);
    failure.set_next_offset(reader_.position(lane).value());
    *failure.mutable_error() = ToError(partition.outcome);
  }
  return {.head = response.SerializeAsString()};
}

SubscribeSession::Message SubscribeSession::IdleMessage() const {
  naru::v1::SubscribeResponse response;
  response.mutable_idle()->set_time_ms(clock_.NowMs());
  response.mutable_idle()->set_credit_bytes(std::max<int64_t>(credit_.value_or(0), 0));
  return {.head = response.SerializeAsString()};
}

SubscribeSession::Message SubscribeSession::DeliveryMessage(LaneReader::Ready ready) const {
  const Partition& partition = partitions_[ready.lane];
  const Delivery& delivery = ready.delivery;
  naru::v1::PartitionDelivery frame;
  frame.set_topic(TopicOf(partition).name);
  frame.set_partition(partition.number);
  frame.set_next_offset(delivery.next_offset().value());
  frame.set_high_watermark(delivery.high_watermark().value());
  frame.set_log_start_offset(delivery.log_start().value());
  if (credit_) frame.set_credit_bytes(delivery.size_bytes());
  return DeliveryMessageOf(frame.SerializeAsString(), std::move(ready));
}

}  // namespace naru::services
