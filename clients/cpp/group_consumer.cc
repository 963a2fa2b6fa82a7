#include "clients/cpp/group_consumer.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "clients/cpp/backoff.h"
#include "clients/cpp/errors.h"
#include "clients/cpp/raw_stream.h"
#include "storage/base/status.h"

namespace naru::client {

using naru::v1::ConsumeRequest;
using naru::v1::ConsumeResponse;

absl::StatusOr<std::unique_ptr<GroupConsumer>> GroupConsumer::Open(std::shared_ptr<Client> client,
                                                                   const naru::v1::Join& join,
                                                                   GroupConsumerOptions options) {
  if (join.group().empty()) return InvalidField("group", "(none)", "a group's name is needed");
  if (join.topics().empty() && join.topic_pattern().empty()) {
    return InvalidField("topics", "(none)", "at least one, or a topic_pattern, is needed");
  }
  if (options.reconnect_timeout <= absl::ZeroDuration()) {
    return InvalidField("reconnect_timeout", absl::FormatDuration(options.reconnect_timeout),
                        "more than 0 is allowed");
  }
  if (options.rejoin_when_fenced && !join.instance_id().empty()) {
    return InvalidField("rejoin_when_fenced", "true", "with an instance_id only false is allowed");
  }
  std::unique_ptr<GroupConsumer> consumer(new GroupConsumer(std::move(client), join, options));
  {
    absl::MutexLock lock(&consumer->mutex_);
    consumer->member_id_ = join.member_id();
  }
  consumer->thread_ = std::thread([raw = consumer.get()] { raw->Run(); });
  return consumer;
}

GroupConsumer::~GroupConsumer() {
  Cancel();
  if (thread_.joinable()) thread_.join();
}

absl::StatusOr<std::optional<GroupEvent>> GroupConsumer::Next(absl::Duration timeout) {
  if (unacked_ != 0) Ack(std::exchange(unacked_, 0));
  absl::MutexLock lock(&mutex_);
  const auto ready = [this] {
    mutex_.AssertHeld();
    return !queue_.empty() || Over();
  };
  if (!mutex_.AwaitWithTimeout(absl::Condition(&ready), timeout)) return std::optional<GroupEvent>();
  if (cancelled_ || closing_ || queue_.empty()) return WhyOver();
  std::optional<GroupEvent> event = std::move(queue_.front());
  queue_.pop_front();
  const auto* delivery = std::get_if<GroupRecords>(&*event);
  if (delivery != nullptr && options_.ack_on_next) unacked_ = delivery->head.delivery_id();
  return event;
}

absl::Status GroupConsumer::WhyOver() const {
  if (cancelled_) return absl::CancelledError("the consumer was cancelled");
  if (closing_) return absl::CancelledError("the consumer is closed");
  return final_status_;
}

void GroupConsumer::Ack(int64_t delivery_id) {
  ConsumeRequest request;
  absl::MutexLock write_lock(&write_mutex_);
  {
    absl::MutexLock lock(&mutex_);
    if (stream_ == nullptr || closing_ || delivery_id <= ids_before_ || delivery_id > last_id_) {
      ++stale_acks_;
      return;
    }
    request.mutable_ack()->set_delivery_id(delivery_id - ids_before_);
  }
  if (stream_->Write(request)) return;
  absl::MutexLock lock(&mutex_);
  ++stale_acks_;
}

absl::Status GroupConsumer::Commit(const std::vector<naru::v1::OffsetCommit>& offsets,
                                   absl::Duration timeout) {
  if (offsets.empty()) return InvalidField("offsets", "(none)", "at least one is needed");
  const absl::Time deadline = absl::Now() + timeout;
  const auto can_send = [this] {
    mutex_.AssertHeld();
    return joined_ || Over();
  };
  ConsumeRequest request;
  *request.mutable_commit()->mutable_offsets() = {offsets.begin(), offsets.end()};
  int64_t id = 0;
  do {
    absl::MutexLock lock(&mutex_);
    if (id == 0) id = next_commit_++;
    commits_.erase(id);
    if (!mutex_.AwaitWithDeadline(absl::Condition(&can_send), deadline)) {
      return absl::DeadlineExceededError("nothing was committed: there was no stream to the broker");
    }
    if (Over()) return WhyOver();
    commits_[id] = std::nullopt;
    request.mutable_commit()->set_commit_id(id);
  } while (!SendCommit(request));

  absl::MutexLock lock(&mutex_);
  const auto answered = [this, id] {
    mutex_.AssertHeld();
    return commits_[id].has_value();
  };
  const bool in_time = mutex_.AwaitWithDeadline(absl::Condition(&answered), deadline);
  const std::optional<absl::Status> answer = std::move(commits_.extract(id).mapped());
  return in_time ? *answer : absl::DeadlineExceededError("the commit was not answered in time");
}

bool GroupConsumer::SendCommit(const ConsumeRequest& request) {
  absl::MutexLock write_lock(&write_mutex_);
  {
    absl::MutexLock lock(&mutex_);
    if (!joined_ || closing_) return false;
  }
  // When this fails, the end of the stream answers the commit.
  stream_->Write(request);
  return true;
}

void GroupConsumer::Progress() {
  ConsumeRequest request;
  request.mutable_progress();
  absl::MutexLock write_lock(&write_mutex_);
  {
    absl::MutexLock lock(&mutex_);
    if (!joined_ || closing_) return;
  }
  stream_->Write(request);
}

absl::Status GroupConsumer::Close(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  if (unacked_ != 0) Ack(std::exchange(unacked_, 0));
  bool connected = false;
  {
    absl::MutexLock write_lock(&write_mutex_);
    absl::MutexLock lock(&mutex_);
    if (!closing_ && stream_ != nullptr) half_closed_ = stream_->WritesDone();
    closing_ = true;
    queue_.clear();
    connected = stream_ != nullptr;
  }
  // Without a stream there is nobody to leave to: what waits for one ends.
  if (!connected) cancellation_.Cancel();
  {
    absl::MutexLock lock(&mutex_);
    if (mutex_.AwaitWithDeadline(absl::Condition(&done_), deadline)) return final_status_;
  }
  Cancel();
  thread_.join();
  absl::MutexLock lock(&mutex_);
  final_status_ = absl::DeadlineExceededError(
      "leaving the group took too long; what was acknowledged last may be delivered again");
  return final_status_;
}

void GroupConsumer::Cancel() {
  {
    absl::MutexLock lock(&mutex_);
    cancelled_ = true;
  }
  cancellation_.Cancel();
}

std::string GroupConsumer::member_id() const {
  absl::MutexLock lock(&mutex_);
  return member_id_;
}

int64_t GroupConsumer::member_epoch() const {
  absl::MutexLock lock(&mutex_);
  return member_epoch_;
}

absl::Status GroupConsumer::ConnectionStatus() const {
  absl::MutexLock lock(&mutex_);
  return connection_status_;
}

int64_t GroupConsumer::stale_acks() const {
  absl::MutexLock lock(&mutex_);
  return stale_acks_;
}

void GroupConsumer::Run() {
  Backoff backoff(client_->options().backoff);
  absl::Time broken_since = absl::Now();
  while (WaitUntilToJoin()) {
    bool joined = false;
    const absl::Status status = ReadOneStream(&joined);
    if (joined) {
      backoff.Reset();
      broken_since = absl::Now();
    }
    const absl::Duration delay = backoff.Next();
    if (!ShallJoinAgain(status, delay, broken_since)) break;
    cancellation_.Pause(delay);
  }
  absl::MutexLock lock(&mutex_);
  final_status_ = closing_ && !joined_before_ ? absl::OkStatus() : connection_status_;
  done_ = true;
}

bool GroupConsumer::WaitUntilToJoin() {
  absl::MutexLock lock(&mutex_);
  // At most once, what has come will not come again; it is not thrown away, so it is taken first, lest every
  // new stream adds to it.
  const auto taken = [this] {
    mutex_.AssertHeld();
    return queue_.empty() || Over();
  };
  mutex_.Await(absl::Condition(&taken));
  return !Over();
}

bool GroupConsumer::ShallJoinAgain(const absl::Status& status, absl::Duration delay,
                                   absl::Time broken_since) {
  absl::MutexLock lock(&mutex_);
  // Not what Close itself did to a wait for a stream: what it waited for remains the reason.
  const bool ended_by_close = closing_ && !half_closed_ && absl::IsCancelled(status);
  if (!ended_by_close) connection_status_ = status;
  if (Over()) return false;
  if (options_.rejoin_when_fenced && ReasonOf(status) == Reason::kMemberFenced) {
    member_id_.clear();
    return true;
  }
  return IsReadRetryable(status) && absl::Now() + delay - broken_since < options_.reconnect_timeout;
}

bool GroupConsumer::Begin(Stream& stream) {
  absl::MutexLock write_lock(&write_mutex_);
  ConsumeRequest request;
  {
    absl::MutexLock lock(&mutex_);
    if (Over()) return false;
    *request.mutable_join() = join_;
    request.mutable_join()->set_member_id(member_id_);
    ids_before_ = last_id_;
  }
  stream_ = &stream;
  return stream.Write(request);
}

absl::Status GroupConsumer::ReadOneStream(bool* joined) {
  NARU_ASSIGN_OR_RETURN(const auto channel,
                        client_->ConnectedChannel(absl::InfiniteFuture(), &cancellation_));
  grpc::ClientContext context;
  const Cancellation::Guard guard(&cancellation_, &context);
  const auto stream = OpenRawStream<ConsumeRequest>(channel, "/naru.v1.GroupService/Consume", context);
  absl::Status read;
  const bool begun = Begin(*stream);
  grpc::ByteBuffer response;
  while (begun && read.ok() && stream->Read(&response)) {
    read = Handle(response, joined);
    response.Clear();
  }
  if (!begun || !read.ok()) context.TryCancel();
  Abandon();
  const grpc::Status status = stream->Finish();
  if (!read.ok()) return read;
  if (!status.ok()) return FromGrpcStatus(status, context);
  absl::MutexLock lock(&mutex_);
  return closing_ ? absl::OkStatus() : absl::UnavailableError("the broker ended the stream");
}

void GroupConsumer::Abandon() {
  // What is being written does not hold this up: the call is over.
  absl::MutexLock write_lock(&write_mutex_);
  stream_ = nullptr;
  absl::MutexLock lock(&mutex_);
  joined_ = false;
  // Nothing of it can be acknowledged any more, so it comes again; what was assigned is told anew.
  if (!IsAtMostOnce()) queue_.clear();
  for (auto& [id, answer] : commits_) {
    if (answer) continue;
    answer =
        absl::UnavailableError("the stream broke before the commit was answered; its outcome is unknown");
  }
}

absl::Status GroupConsumer::Handle(const grpc::ByteBuffer& bytes, bool* joined) {
  NARU_ASSIGN_OR_RETURN(auto response, (ReadResponse<naru::v1::GroupDelivery, ConsumeResponse>(bytes)));
  absl::MutexLock lock(&mutex_);
  auto* delivery = std::get_if<GroupRecords>(&response);
  if (delivery == nullptr) {
    Handle(std::get<ConsumeResponse>(std::move(response)), joined);
  } else if (!closing_) {  // then it comes again, to whoever reads on
    delivery->head.set_delivery_id(ids_before_ + delivery->head.delivery_id());
    last_id_ = std::max(last_id_, delivery->head.delivery_id());
    queue_.emplace_back(std::move(*delivery));
  }
  return absl::OkStatus();
}

void GroupConsumer::Handle(ConsumeResponse response, bool* joined) {
  if (response.has_commit_result()) {
    const auto commit = commits_.find(response.commit_result().commit_id());
    if (commit == commits_.end()) return;  // nobody waits any more
    commit->second =
        response.commit_result().has_error() ? FromError(response.commit_result().error()) : absl::OkStatus();
    return;
  }
  if (closing_) return;
  switch (response.response_case()) {
    case ConsumeResponse::kJoined:
      *joined = joined_ = true;
      connection_status_ = absl::OkStatus();
      member_id_ = response.joined().member_id();
      member_epoch_ = response.joined().member_epoch();
      queue_.emplace_back(GroupJoined{member_id_, member_epoch_, std::exchange(joined_before_, true)});
      break;
    case ConsumeResponse::kAssigned:
      queue_.emplace_back(std::move(*response.mutable_assigned()));
      break;
    case ConsumeResponse::kRevoking:
      queue_.emplace_back(std::move(*response.mutable_revoking()));
      break;
    case ConsumeResponse::kFailure: {
      const naru::v1::PartitionFailure& failure = response.failure();
      queue_.emplace_back(PartitionFailed{{failure.topic(), failure.partition(), failure.next_offset()},
                                          FromError(failure.error())});
      break;
    }
    default:  // Idle, or what a newer broker tells
      break;
  }
}

}  // namespace naru::client
