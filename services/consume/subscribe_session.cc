#include "services/consume/subscribe_session.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/rpc/status.h"
#include "storage/base/status.h"
#include "storage/batch/wire.h"
#include "storage/log/log_state.h"

namespace naru::services {
namespace {

// About what a partition costs here and in the store's watches.
constexpr int64_t kPartitionBytes = 256;
// A client that takes messages within this time gets larger ones, after so many of one size: more than the
// windows of its connection hold, so that one that does not read hardly gets beyond the first.
constexpr int64_t kPromptNs = 1'000'000'000;
constexpr int kFullBeforeLarger = 8;
// Who has taken so much has read some of it: no connection holds as much.
constexpr int64_t kProofBytes = int64_t{8} << 20;
constexpr std::chrono::nanoseconds kTickMax = std::chrono::seconds(5);
constexpr uint32_t kDeliveryField = 15;  // of SubscribeResponse

}  // namespace

SubscribeSession::SubscribeSession(const ConsumeOptions& options, const Clock& clock, Effects& effects)
    : options_(options), clock_(clock), effects_(effects), last_sent_ns_(clock.MonotonicNs()) {}

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
  message_bytes_ = std::min(plan_.message_bytes_max, options_.stream_first_message_bytes);
  for (const SubscribedPartition& partition : std::exchange(plan_.partitions, {})) {
    if (absl::Status added = AddPartition(partition); !added.ok()) return End(std::move(added));
  }
}

absl::Status SubscribeSession::AddPartition(const SubscribedPartition& plan) {
  if (!effects_.SetAside(kPartitionBytes)) {
    return MakeError(Reason::kTooManyInFlight, "the memory for subscriptions is used up; try again");
  }
  Partition partition{.plan = plan, .next = plan.start.offset, .located = true};
  const auto lane = static_cast<Lane>(partitions_.size());
  absl::Status gone;
  switch (plan.start.kind) {
    case StartPoint::Kind::kOffset:
      break;
    case StartPoint::Kind::kTime:
      partition.located = false;
      break;
    case StartPoint::Kind::kEarliest:
    case StartPoint::Kind::kLatest: {
      const absl::StatusOr<LogInfo> info = effects_.Info(plan.log);
      if (info.ok()) {
        partition.next = plan.start.kind == StartPoint::Kind::kLatest ? info->readable_end : info->log_start;
      }
      gone = info.status();
      break;
    }
  }
  partitions_.push_back(std::move(partition));
  if (gone.ok()) {
    queue_.push_back(lane);
  } else {
    Retire(lane, gone);
  }
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
      if (partitions_[lane].plan.topic == topic) Retire(lane, gone);
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

void SubscribeSession::Retire(Lane lane, const absl::Status& outcome) {
  Partition& partition = partitions_[lane];
  if (partition.state == State::kGone) return;
  if (partition.state == State::kWatching) effects_.Unwatch(lane);
  partition.state = State::kGone;
  partition.outcome =
      cluster::LogStatusForClient(*effects_.Catalog(), TopicOf(partition), partition.plan.partition, outcome);
  ++gone_;
  // What was read before is sent before.
  if (!ready_ || ready_->lane != lane) notices_.push_back(lane);
}

void SubscribeSession::Queue(Lane lane) {
  partitions_[lane].state = State::kQueued;
  queue_.push_back(lane);
}

void SubscribeSession::OnFound(Lane lane, const absl::StatusOr<std::optional<TimedOffset>>& found) {
  reading_ = false;
  Partition& partition = partitions_[lane];
  if (finished_ || partition.state == State::kGone) return Go();
  absl::Status status = found.status();
  if (found.ok() && found->has_value()) {
    partition.next = (*found)->offset;
  } else if (found.ok()) {
    const absl::StatusOr<LogInfo> info = effects_.Info(partition.plan.log);
    if (info.ok()) partition.next = info->readable_end;
    status = info.status();
  }
  partition.located = true;
  if (status.ok()) {
    Queue(lane);
  } else {
    Retire(lane, status);
  }
  Go();
}

void SubscribeSession::OnRead(Lane lane, absl::StatusOr<ReadResult> result, MemoryGate::Hold hold) {
  reading_ = false;
  Partition& partition = partitions_[lane];
  if (finished_ || partition.state == State::kGone) return Go();
  const std::optional<Reason> reason = ReasonOf(result.status());
  // Retention may pass the first record between finding it and reading it.
  if (reason == Reason::kOffsetOutOfRange && !partition.begun &&
      partition.plan.start.kind != StartPoint::Kind::kOffset) {
    const absl::StatusOr<LogInfo> info = effects_.Info(partition.plan.log);
    if (info.ok() && info->log_start > partition.next) {
      partition.next = info->log_start;
      Queue(lane);
      return Go();
    }
  }
  if (reason == Reason::kShuttingDown) return End(result.status());
  if (result.ok() && result->first_batch_bytes > 0) {
    // It takes more memory than was asked for.
    hold.Release();
    partition.batch_bytes = result->first_batch_bytes;
    partition.state = State::kQueued;
    queue_.push_front(lane);
    return Go();
  }
  const DeliveryBounds bounds{.end = partition.plan.end.value_or(Offset(INT64_MAX)),
                              .bytes_max = std::max<int64_t>(reading_bytes_ - Delivery::kFrameBytesMax, 1)};
  Delivery delivery(plan_.form, partition.next, bounds);
  const absl::Status status = result.ok() ? delivery.Add(*result) : result.status();
  if (result.ok() && !result->batches.empty()) {
    partition.batch_bytes = static_cast<int64_t>(result->batches.back().bytes.size());
  }
  result = absl::UnknownError("used up");  // lets go of the batches
  partition.next = delivery.next_offset();
  const bool delivered = !delivery.empty();
  if (delivered) {
    partition.begun = true;
    hold.Resize(delivery.size_bytes());
    const bool full = delivery.size_bytes() >= message_bytes_ / 2;
    ready_ = Ready{lane, DeliveryMessage(lane, delivery, std::move(hold)), full};
  }
  // An error behind records that came is found again by the next read.
  if (!delivered && !status.ok()) {
    Retire(lane, status);
  } else if (delivery.range_ended()) {
    Retire(lane, absl::OkStatus());
  } else if (delivered) {
    Queue(lane);
  } else {
    partition.state = State::kWatching;
    effects_.Watch(lane, partition.plan.log, partition.next);
  }
  Go();
}

void SubscribeSession::OnReadable(Lane lane) {
  if (partitions_[lane].state == State::kWatching) Queue(lane);
  Go();
}

void SubscribeSession::OnWritten(bool ok) {
  writing_ = false;
  if (!ok) end_ = absl::CancelledError("the client is gone");
  prompt_ = NowNs() - write_begun_ns_ <= kPromptNs;
  if (!prompt_) {
    message_bytes_ = std::min(plan_.message_bytes_max, options_.stream_first_message_bytes);
    full_taken_ = 0;
    taken_bytes_ = 0;
  } else if (wrote_full_ && ++full_taken_ >= kFullBeforeLarger) {
    message_bytes_ = std::min(plan_.message_bytes_max, 2 * message_bytes_);
    full_taken_ = 0;
  }
  if (prompt_) taken_bytes_ += wrote_bytes_;
  wrote_full_ = false;
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
  if (finished_) return;
  if (!writing_) GoWrite();
  if (!finished_ && !end_) GoRead();
}

void SubscribeSession::GoWrite() {
  const auto finish = [this](const absl::Status& status) {
    finished_ = true;
    effects_.Finish(status);
    ready_.reset();
  };
  if (end_) return finish(*end_);
  if (!started_) return;
  if (ready_ && HasCredit()) return SendReady();
  if (!notices_.empty()) {
    const Lane lane = notices_.front();
    notices_.pop_front();
    return Send(Notice(lane));
  }
  const bool credit_used_up = half_closed_ && !HasCredit();
  if (credit_used_up || Exhausted()) finish(absl::OkStatus());
}

void SubscribeSession::GoRead() {
  while (started_ && !reading_ && !ready_ && HasCredit() && !queue_.empty()) {
    const int64_t share_bytes = effects_.MessageBytesMax();
    const bool scarce = share_bytes < INT64_MAX;
    if (writing_ && (!prompt_ || scarce)) return;
    const Lane lane = queue_.front();
    queue_.pop_front();
    Partition& partition = partitions_[lane];
    if (partition.state != State::kQueued) continue;
    if (partition.located && partition.plan.end && partition.next >= *partition.plan.end) {
      Retire(lane, CheckStart(partition));
      if (!writing_) return Go();
      continue;
    }
    Read(lane, share_bytes);
  }
}

void SubscribeSession::Read(Lane lane, int64_t share_bytes) {
  Partition& partition = partitions_[lane];
  reading_ = true;
  partition.state = State::kReading;
  if (!partition.located) {
    return effects_.FindByTime(lane, partition.plan.log, partition.plan.start.timestamp_ms);
  }
  // Else a batch that is larger than the share would be read again for each part of it.
  if (taken_bytes_ >= kProofBytes) share_bytes = std::max(share_bytes, partition.batch_bytes);
  reading_bytes_ = std::min(message_bytes_, share_bytes);
  // The batches that are read, one at least, and the records that are made of them.
  const int64_t read_bytes = std::max(reading_bytes_, partition.batch_bytes);
  const int64_t made_bytes = plan_.form == naru::v1::DELIVERY_STORED_BATCHES ? 0 : reading_bytes_;
  const ReadRequest request{.log = partition.plan.log,
                            .from = partition.next,
                            .end = partition.plan.end.value_or(Offset(INT64_MAX)),
                            .bytes_max = reading_bytes_,
                            .first_bytes_max = read_bytes};
  effects_.Read(lane, request, read_bytes + made_bytes,
                prompt_ ? MemoryGate::Line::kPrompt : MemoryGate::Line::kLate);
}

absl::Status SubscribeSession::CheckStart(const Partition& partition) const {
  if (partition.begun || partition.plan.start.kind != StartPoint::Kind::kOffset) return absl::OkStatus();
  NARU_ASSIGN_OR_RETURN(const LogInfo info, effects_.Info(partition.plan.log));
  if (partition.next >= info.log_start && partition.next <= info.readable_end) return absl::OkStatus();
  return OffsetOutOfRange("offset", partition.next, info.log_start, info.readable_end);
}

bool SubscribeSession::Exhausted() const {
  if (ready_ || gone_ < partitions_.size()) return false;
  return std::none_of(plan_.topics.begin(), plan_.topics.end(),
                      [](const SubscribedTopic& topic) { return topic.whole; });
}

void SubscribeSession::Send(Message message) {
  writing_ = true;
  wrote_bytes_ = message.size_bytes();
  write_begun_ns_ = last_sent_ns_ = NowNs();
  effects_.Write(std::move(message));
}

void SubscribeSession::SendReady() {
  Ready ready = *std::exchange(ready_, std::nullopt);
  if (credit_) *credit_ -= ready.message.credit_bytes;
  wrote_full_ = ready.full;
  if (partitions_[ready.lane].state == State::kGone) notices_.push_back(ready.lane);
  Send(std::move(ready.message));
}

SubscribeSession::Message SubscribeSession::Notice(Lane lane) const {
  const Partition& partition = partitions_[lane];
  naru::v1::SubscribeResponse response;
  if (partition.outcome.ok()) {
    naru::v1::EndReached& end = *response.mutable_end_reached();
    end.set_topic(TopicOf(partition).name);
    end.set_partition(partition.plan.partition);
    end.set_next_offset(partition.next.value());
  } else {
    naru::v1::PartitionFailure& failure = *response.mutable_failure();
    failure.set_topic(TopicOf(partition).name);
    failure.set_partition(partition.plan.partition);
    failure.set_next_offset(partition.next.value());
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

SubscribeSession::Message SubscribeSession::DeliveryMessage(Lane lane, Delivery& delivery,
                                                            MemoryGate::Hold hold) const {
  const Partition& partition = partitions_[lane];
  naru::v1::PartitionDelivery frame;
  frame.set_topic(TopicOf(partition).name);
  frame.set_partition(partition.plan.partition);
  frame.set_next_offset(delivery.next_offset().value());
  frame.set_high_watermark(delivery.high_watermark().value());
  frame.set_log_start_offset(delivery.log_start().value());
  if (credit_) frame.set_credit_bytes(delivery.size_bytes());
  const std::string fields = frame.SerializeAsString();

  Message message{.hold = std::move(hold),
                  .record_count = delivery.record_count(),
                  .credit_bytes = delivery.size_bytes()};
  wire::AppendVarint(message.head, wire::Tag(kDeliveryField, wire::Type::kLength));
  wire::AppendVarint(message.head, fields.size() + static_cast<uint64_t>(delivery.size_bytes()));
  message.head.append(fields);
  message.records = delivery.TakeRecords();
  message.batches = delivery.TakeBatches();
  return message;
}

}  // namespace naru::services
