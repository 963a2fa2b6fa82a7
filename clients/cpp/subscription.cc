#include "clients/cpp/subscription.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "clients/cpp/backoff.h"
#include "clients/cpp/consumer.h"
#include "clients/cpp/errors.h"
#include "clients/cpp/raw_stream.h"
#include "storage/base/status.h"

namespace naru::client {

using naru::v1::SubscribeRequest;
using naru::v1::SubscribeResponse;
using naru::v1::TopicSubscription;

namespace {

bool MeansTopicGone(const absl::Status& status) {
  const std::optional<Reason> reason = ReasonOf(status);
  return reason == Reason::kTopicNotFound || reason == Reason::kTopicIdMismatch;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Subscription>> Subscription::Open(std::shared_ptr<Client> client,
                                                                 const naru::v1::SubscribeStart& start,
                                                                 SubscriptionOptions options) {
  if (start.topics().empty()) return InvalidField("topics", "(none)", "at least one is needed");
  if (options.credit_bytes <= 0) {
    return InvalidField("credit_bytes", absl::StrCat(options.credit_bytes), "more than 0 is allowed");
  }
  if (options.reconnect_timeout <= absl::ZeroDuration()) {
    return InvalidField("reconnect_timeout", absl::FormatDuration(options.reconnect_timeout),
                        "more than 0 is allowed");
  }
  if (options.new_partitions_interval <= absl::ZeroDuration()) {
    return InvalidField("new_partitions_interval", absl::FormatDuration(options.new_partitions_interval),
                        "more than 0 is allowed");
  }
  std::unique_ptr<Subscription> subscription(new Subscription(std::move(client), start, options));
  NARU_RETURN_IF_ERROR(subscription->Resolve());
  subscription->thread_ = std::thread([raw = subscription.get()] { raw->Run(); });
  return subscription;
}

Subscription::~Subscription() {
  Cancel();
  if (thread_.joinable()) thread_.join();
}

absl::Status Subscription::Resolve() {
  for (const TopicSubscription& topic : settings_.topics()) NARU_RETURN_IF_ERROR(ResolveTopic(topic));
  next_look_for_partitions_ = absl::Now() + options_.new_partitions_interval;
  absl::MutexLock lock(&mutex_);
  for (auto& [key, progress] : progress_) {
    progress.taken = progress.read;
    if (progress.end_offset && progress.read >= *progress.end_offset) {
      progress.done = true;
      Push(PartitionEnded{{key.first, key.second, progress.read}}, 0);
    }
  }
  FinishIfAllDone();
  return absl::OkStatus();
}

// A stream begun "at the latest" and broken before its first record would begin later the second time, so
// positions and times become offsets before the first.
absl::Status Subscription::ResolveTopic(const TopicSubscription& topic) {
  std::string topic_id = topic.topic_id();
  if (topic_id.empty()) {
    NARU_ASSIGN_OR_RETURN(const auto routes, client_->RefreshTopic(topic.topic()));
    topic_id = routes->topic_id;
  }
  naru::v1::ListOffsetsRequest request;
  request.set_topic(topic.topic());
  request.set_topic_id(topic_id);
  if (topic.has_timestamp_ms()) {
    request.set_timestamp_ms(topic.timestamp_ms());
  } else if (topic.has_position()) {
    request.set_position(topic.position());
  }
  std::map<int32_t, Progress> given;
  for (const auto& partition : topic.partitions()) {
    Progress progress;
    if (partition.has_end_offset()) progress.end_offset = partition.end_offset();
    if (partition.has_offset()) {
      progress.read = partition.offset();
    } else {
      request.add_partitions(partition.partition());
    }
    given[partition.partition()] = progress;
  }
  if (topic.partitions().empty() || !request.partitions().empty()) {
    NARU_ASSIGN_OR_RETURN(const auto response, Consumer(client_).ListOffsets(request));
    for (const auto& found : response.offsets()) {
      if (found.has_error()) return FromError(found.error());
      given[found.partition()].read = found.offset();
    }
  }
  absl::MutexLock lock(&mutex_);
  topic_ids_[topic.topic()] = topic_id;
  if (!given.empty() && (topic.partitions().empty() || options_.read_added_partitions)) {
    growing_topics_[topic.topic()] = given.rbegin()->first + 1;
  }
  for (const auto& [partition, progress] : given) progress_[{topic.topic(), partition}] = progress;
  return absl::OkStatus();
}

void Subscription::Push(SubscriptionEvent event, int64_t bytes) {
  queue_.push_back({std::move(event), bytes});
  queued_bytes_ += bytes;
}

void Subscription::FinishIfAllDone() {
  const bool all_done =
      std::all_of(progress_.begin(), progress_.end(), [](const auto& entry) { return entry.second.done; });
  if (!all_done || ended_) return;
  ended_ = true;
  Push(SubscriptionEnded{}, 0);
}

absl::StatusOr<std::optional<SubscriptionEvent>> Subscription::Next(absl::Duration timeout) {
  std::optional<SubscriptionEvent> event;
  bool owes = false;
  {
    absl::MutexLock lock(&mutex_);
    const auto ready = [this] {
      mutex_.AssertHeld();
      return cancelled_ || !queue_.empty() || !final_status_.ok();
    };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&ready), timeout)) return std::optional<SubscriptionEvent>();
    if (cancelled_) return absl::CancelledError("the subscription was cancelled");
    if (queue_.empty()) return final_status_;
    Queued& first = queue_.front();
    event = std::move(first.event);
    queued_bytes_ -= first.bytes;
    owed_bytes_ += first.bytes;
    // What ends a subscription stays, so that a later Next says so again.
    if (std::holds_alternative<SubscriptionEnded>(*event)) {
      first.bytes = 0;
    } else {
      queue_.pop_front();
    }
    if (const auto* delivery = std::get_if<PartitionRecords>(&*event)) {
      const naru::v1::PartitionDelivery& head = delivery->head;
      progress_[{head.topic(), head.partition()}].taken = head.next_offset();
    }
    owes = OwesEnough();
  }
  if (owes) GiveCredit();
  return event;
}

bool Subscription::OwesEnough() const {
  return owed_bytes_ >= std::max<int64_t>(options_.credit_bytes / 4, 1);
}

void Subscription::GiveCredit() {
  absl::MutexLock write_lock(&write_mutex_);
  if (stream_ == nullptr) return;  // the next stream begins with what there is room for
  SubscribeRequest request;
  {
    absl::MutexLock lock(&mutex_);
    if (!OwesEnough()) return;  // another thread, or a new stream, has settled it
    request.mutable_credit()->set_bytes(std::exchange(owed_bytes_, 0));
  }
  stream_->Write(request);
}

std::vector<PartitionPosition> Subscription::Positions() const {
  absl::MutexLock lock(&mutex_);
  std::vector<PartitionPosition> positions;
  for (const auto& [key, progress] : progress_) {
    positions.push_back({key.first, key.second, progress.taken});
  }
  return positions;
}

void Subscription::Cancel() {
  {
    absl::MutexLock lock(&mutex_);
    cancelled_ = true;
  }
  cancellation_.Cancel();
}

absl::Status Subscription::ConnectionStatus() const {
  absl::MutexLock lock(&mutex_);
  return connection_status_;
}

void Subscription::Run() {
  Backoff backoff(client_->options().backoff);
  absl::Time broken_since = absl::Now();
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      if (ended_ || cancelled_) return;
    }
    bool got_something = false;
    const absl::Status status = ReadOneStream(&got_something);
    if (got_something) {
      backoff.Reset();
      broken_since = absl::Now();
    }
    const bool topic_gone = MeansTopicGone(status);
    if (topic_gone && FailGoneTopics()) continue;
    absl::Duration delay;
    {
      absl::MutexLock lock(&mutex_);
      if (ended_ || cancelled_) return;
      if (status.ok()) continue;  // made again on purpose
      connection_status_ = status;
      delay = backoff.Next();
      // A topic that is there after all was seen by servers that do not know the same yet.
      const bool try_again = topic_gone || IsReadRetryable(status);
      if (!try_again || absl::Now() + delay - broken_since >= options_.reconnect_timeout) {
        final_status_ = status;
        return;
      }
    }
    cancellation_.Pause(delay);
  }
}

bool Subscription::FailGoneTopics() {
  std::map<std::string, std::string> ids;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [key, progress] : progress_) {
      if (!progress.done) ids[key.first] = topic_ids_[key.first];
    }
  }
  bool found = false;
  for (const auto& [topic, id] : ids) {
    const auto routes = client_->RefreshTopic(topic, client_->options().call_timeout, &cancellation_);
    absl::Status gone = routes.status();
    if (routes.ok()) {
      if ((*routes)->topic_id == id) continue;
      gone = MakeError(Reason::kTopicNotFound,
                       absl::StrCat("topic \"", topic, "\" was deleted; there is another of that name now"),
                       {{"topic", topic}});
    } else if (!MeansTopicGone(gone)) {
      continue;
    }
    found = true;
    absl::MutexLock lock(&mutex_);
    growing_topics_.erase(topic);
    for (auto& [key, progress] : progress_) {
      if (key.first != topic || std::exchange(progress.done, true)) continue;
      Push(PartitionFailed{{key.first, key.second, progress.read}, gone}, 0);
    }
    FinishIfAllDone();
  }
  return found;
}

SubscribeRequest Subscription::StartRequest() {
  absl::MutexLock lock(&mutex_);
  SubscribeRequest request;
  naru::v1::SubscribeStart& start = *request.mutable_start();
  start = settings_;
  start.clear_topics();
  std::map<std::string, TopicSubscription*> topics;
  for (const TopicSubscription& topic : settings_.topics()) {
    TopicSubscription* added = start.add_topics();
    added->set_topic(topic.topic());
    added->set_topic_id(topic_ids_[topic.topic()]);
    topics[topic.topic()] = added;
  }
  for (const auto& [key, progress] : progress_) {
    if (progress.done) continue;
    auto* partition = topics[key.first]->add_partitions();
    partition->set_partition(key.second);
    partition->set_offset(progress.read);
    if (progress.end_offset) partition->set_end_offset(*progress.end_offset);
  }
  // A topic without partitions left would mean all of them.
  auto* list = start.mutable_topics();
  for (int i = list->size() - 1; i >= 0; --i) {
    if (list->Get(i).partitions().empty()) list->DeleteSubrange(i, 1);
  }
  // 0 would mean without bound; with a byte of it one delivery more comes than there is room for. What was
  // given too much is kept back later, so that it does not add up from stream to stream.
  const int64_t room = options_.credit_bytes - queued_bytes_;
  start.set_credit_bytes(std::max<int64_t>(1, room));
  owed_bytes_ = room - start.credit_bytes();
  return request;
}

absl::Status Subscription::ReadOneStream(bool* got_something) {
  NARU_ASSIGN_OR_RETURN(const auto channel,
                        client_->ConnectedChannel(absl::InfiniteFuture(), &cancellation_));
  grpc::ClientContext context;
  const Cancellation::Guard guard(&cancellation_, &context);
  const auto stream = OpenRawStream<SubscribeRequest>(channel, "/naru.v1.ConsumeService/Subscribe", context);
  bool begun = false;
  {
    absl::MutexLock lock(&write_mutex_);
    begun = stream->Write(StartRequest());
    stream_ = stream.get();
  }
  const absl::StatusOr<bool> left = begun ? ReadAll(*stream, got_something) : false;
  if (!left.ok() || *left) context.TryCancel();
  {
    // A credit that is being written does not hold this up: the call is over.
    absl::MutexLock lock(&write_mutex_);
    stream_ = nullptr;
  }
  const grpc::Status status = stream->Finish();
  if (!left.ok()) return left.status();
  if (*left) return absl::OkStatus();
  if (status.ok()) return absl::UnavailableError("the broker ended the stream");
  return FromGrpcStatus(status, context);
}

absl::StatusOr<bool> Subscription::ReadAll(Stream& stream, bool* got_something) {
  grpc::ByteBuffer response;
  while (stream.Read(&response)) {
    *got_something = true;
    NARU_RETURN_IF_ERROR(Handle(response));
    response.Clear();
    if (FindNewPartitions()) return true;
    absl::MutexLock lock(&mutex_);
    if (ended_ || cancelled_) return true;
  }
  return false;
}

absl::Status Subscription::Handle(const grpc::ByteBuffer& bytes) {
  NARU_ASSIGN_OR_RETURN(auto response, (ReadResponse<naru::v1::PartitionDelivery, SubscribeResponse>(bytes)));
  absl::MutexLock lock(&mutex_);
  connection_status_ = absl::OkStatus();
  if (auto* delivery = std::get_if<PartitionRecords>(&response)) {
    const naru::v1::PartitionDelivery& head = delivery->head;
    progress_[{head.topic(), head.partition()}].read = head.next_offset();
    const int64_t credit_bytes = head.credit_bytes();
    Push(std::move(*delivery), credit_bytes);
  } else {
    Handle(std::get<SubscribeResponse>(response));
  }
  FinishIfAllDone();
  return absl::OkStatus();
}

void Subscription::Handle(const SubscribeResponse& response) {
  if (response.has_end_reached()) {
    const auto& end = response.end_reached();
    Progress& progress = progress_[{end.topic(), end.partition()}];
    progress.done = true;
    progress.read = end.next_offset();
    Push(PartitionEnded{{end.topic(), end.partition(), end.next_offset()}}, 0);
  } else if (response.has_failure()) {
    const auto& failure = response.failure();
    Progress& progress = progress_[{failure.topic(), failure.partition()}];
    progress.done = true;
    Push(PartitionFailed{{failure.topic(), failure.partition(), failure.next_offset()},
                         FromError(failure.error())},
         0);
  }
}

bool Subscription::FindNewPartitions() {
  if (absl::Now() < next_look_for_partitions_) return false;
  next_look_for_partitions_ = absl::Now() + options_.new_partitions_interval;
  std::map<std::string, int32_t> known;
  {
    absl::MutexLock lock(&mutex_);
    known = growing_topics_;
  }
  bool found = false;
  for (const auto& [topic, count] : known) {
    const auto routes = client_->RefreshTopic(topic, client_->options().call_timeout, &cancellation_);
    if (!routes.ok()) continue;  // the stream itself says what is wrong
    const auto now = static_cast<int32_t>((*routes)->partitions.size());
    absl::MutexLock lock(&mutex_);
    if ((*routes)->topic_id != topic_ids_[topic]) continue;
    for (int32_t partition = count; partition < now; ++partition) {
      progress_[{topic, partition}] = Progress{};
      growing_topics_[topic] = partition + 1;
      found = true;
    }
  }
  return found;
}

}  // namespace naru::client
