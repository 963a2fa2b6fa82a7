#include "clients/cpp/produce_sender.h"

#include <algorithm>
#include <chrono>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "clients/cpp/errors.h"
#include "clients/cpp/outgoing_record.h"
#include "naru/v1/transaction.grpc.pb.h"
#include "storage/base/check.h"
#include "storage/batch/producer_stamp.h"

namespace naru::client {
namespace {

// One wait for a connection; the thread does nothing else meanwhile.
constexpr absl::Duration kReconnectSlice = absl::Milliseconds(20);
// After this long without a connection another broker is asked to pass things on.
constexpr absl::Duration kConnectPatience = absl::Seconds(1);
constexpr absl::Duration kRefreshTimeout = absl::Seconds(1);
constexpr absl::Duration kRefreshPause = absl::Seconds(1);
// One try for a producer id; the thread does nothing else meanwhile.
constexpr absl::Duration kInitTimeout = absl::Seconds(2);
// How long brokers have to end a stream that was half-closed with nothing in flight.
constexpr absl::Duration kEndPatience = absl::Seconds(1);
// Item ids are batch ids, from 1; Resume needs none of its own.
constexpr int64_t kResumeId = 0;

absl::Status ClosedError() {
  return absl::CancelledError("the producer was closed before this was acknowledged");
}

bool MeansStaleRoutes(const absl::Status& status) {
  const std::optional<Reason> reason = ReasonOf(status);
  return reason == Reason::kNoLeader || reason == Reason::kStaleLeaderEpoch ||
         reason == Reason::kLeaderChanged || reason == Reason::kPartitionNotFound;
}

// No further try for a producer id will do better.
bool IsRefused(const absl::Status& status) {
  return absl::IsUnimplemented(status) || absl::IsUnauthenticated(status) ||
         absl::IsPermissionDenied(status) || absl::IsInvalidArgument(status);
}

}  // namespace

ProduceSender::ProduceSender(std::shared_ptr<Client> client, const ProducerOptions& options,
                             FinishedHandler finished)
    : client_(std::move(client)),
      options_(options),
      finished_(std::move(finished)),
      init_backoff_(options.backoff) {
  thread_ = std::thread([this] { Run(); });
}

void ProduceSender::AddTopic(const TopicRoutes& routes) {
  absl::MutexLock lock(&mutex_);
  auto& lanes = topics_[routes.name];
  for (size_t i = 0; i < routes.partitions.size(); ++i) {
    if (i == lanes.size()) {
      lanes.push_back(std::make_unique<Lane>(routes.name, PartitionId(static_cast<int32_t>(i)), options_,
                                             std::random_device{}()));
      if (producer_id_ != 0) lanes.back()->queue.StampFor(producer_id_);
    }
    lanes[i]->route = routes.partitions[i];
  }
}

void ProduceSender::Append(std::string_view topic, PartitionId partition, std::string_view raw_record,
                           PendingRecord record, int64_t charged_bytes, int64_t generation) {
  absl::MutexLock lock(&mutex_);
  Lane& lane = *topics_.find(topic)->second[static_cast<size_t>(partition.value())];
  lane.queue.Append(raw_record, std::move(record), charged_bytes, generation, absl::Now(), &next_batch_id_);
  if (stopping_) {
    // The thread may have looked at this lane for the last time.
    Finish(lane, lane.queue.FailWaiting(ClosedError()));
    return;
  }
  if (generation <= sealed_generation_) lane.queue.Seal();
  const absl::Time at = lane.queue.NextActionAt();
  if (!lane.listed && at < lane.scheduled_at) Schedule(lane, at);
}

void ProduceSender::SealAll(int64_t generation) {
  absl::MutexLock lock(&mutex_);
  sealed_generation_ = std::max(sealed_generation_, generation);
  for (auto& [name, lanes] : topics_) {
    for (auto& lane : lanes) {
      lane->queue.Seal();
      if (!lane->listed) Schedule(*lane, lane->queue.NextActionAt());
    }
  }
}

void ProduceSender::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    wake_.Signal();
  }
  stop_.Cancel();
  if (thread_.joinable()) thread_.join();
}

void ProduceSender::Schedule(Lane& lane, absl::Time at) {
  if (lane.scheduled_at != absl::InfiniteFuture()) schedule_.erase({lane.scheduled_at, &lane});
  lane.scheduled_at = at;
  if (at == absl::InfiniteFuture()) return;
  schedule_.emplace(at, &lane);
  if (at < asleep_until_) wake_.Signal();
}

ProduceSender::Connection& ProduceSender::ConnectionTo(const std::string& address) {
  auto& connection = connections_[address];
  if (connection == nullptr) connection = std::make_unique<Connection>(address, options_.backoff);
  return *connection;
}

void ProduceSender::Place(Lane& lane, absl::Time now) {
  if (lane.queue.IsSendable(now) && !lane.listed) {
    if (!lane.queue.HasInFlight()) lane.connection = &ConnectionTo(client_->AddressFor(lane.route));
    lane.connection->listed.push_back(&lane);
    lane.listed = true;
  }
  // A listed lane is looked at when its turn comes; until then only its batches' age matters, and batches
  // that wait for a connection are looked at when that is opened or given up.
  Schedule(lane, lane.listed ? absl::InfiniteFuture() : lane.queue.NextActionAt());
}

void ProduceSender::Run() {
  absl::MutexLock lock(&mutex_);
  while (true) {
    const absl::Time now = absl::Now();
    bool worked = HandleEvents(now);
    if (stopping_) {
      if (StepTowardsStop(now)) return;
    } else {
      worked |= HandleDueLanes(now);
      worked |= InitProducer(now);
      std::vector<Connection*> connections;
      for (auto& [address, connection] : connections_) connections.push_back(connection.get());
      for (Connection* connection : connections) worked |= Pump(*connection, now);
      CancelSilentStreams(now);
      RefreshStaleTopics(now);
    }
    if (worked || !events_.empty()) continue;
    asleep_until_ = NextWake();
    wake_.WaitWithDeadline(&mutex_, asleep_until_);
    asleep_until_ = absl::InfinitePast();
  }
}

absl::Time ProduceSender::NextWake() const {
  if (stopping_) return cancel_at_;
  absl::Time wake = schedule_.empty() ? absl::InfiniteFuture() : schedule_.begin()->first;
  for (const auto& [address, connection] : connections_) {
    if (CanWrite(*connection)) wake = std::min(wake, connection->not_before);
    if (!connection->in_flight.empty()) {
      wake = std::min(wake, connection->progress_at + options_.request_timeout);
    }
  }
  if (!stale_topics_.empty()) wake = std::min(wake, refresh_not_before_);
  if (LacksProducerId() && AnyListed()) wake = std::min(wake, init_not_before_);
  return wake;
}

bool ProduceSender::HandleEvents(absl::Time now) {
  bool worked = false;
  while (!events_.empty()) {
    Event event = std::move(events_.front());
    events_.pop_front();
    if (event.ended != nullptr) {
      HandleEnd(event, now);
    } else {
      HandleAnswers(event, now);
    }
    worked = true;
  }
  return worked;
}

void ProduceSender::HandleAnswers(Event& event, absl::Time now) {
  Connection& connection = *event.connection;
  connection.progress_at = now;
  connection.backoff.Reset();
  for (const auto& result : event.response.results()) {
    const auto found = connection.in_flight.find(result.id());
    if (found == connection.in_flight.end()) continue;
    Lane& lane = *found->second;
    connection.in_flight.erase(found);
    const naru::v1::Error* error = result.has_error() ? &result.error() : nullptr;
    if (error == nullptr && result.results_size() > 0 && result.results(0).has_error()) {
      error = &result.results(0).error();
    }
    PartitionQueue::Batch finished;
    if (error != nullptr) {
      const absl::Status status = FromError(*error);
      if (MeansStaleRoutes(status)) stale_topics_.insert(lane.queue.topic());
      finished = lane.queue.OnFailed(result.id(), status, now);
    } else if (result.results_size() > 0) {
      const auto& appended = result.results(0);
      finished = lane.queue.OnAppended(result.id(), appended.base_offset(), appended.append_time_ms(), now);
    } else {
      finished = lane.queue.OnAppended(result.id(), -1, 0, now);
    }
    if (finished != nullptr) finished_(lane.queue, std::move(finished));
    Place(lane, now);
  }
}

void ProduceSender::HandleEnd(Event& event, absl::Time now) {
  Connection& connection = *event.connection;
  const absl::Status status =
      event.status.ok() ? absl::UnavailableError("the broker ended the stream") : event.status;
  connection.stream = nullptr;
  connection.writing = false;
  absl::flat_hash_set<Lane*> lanes;
  for (const auto& [id, lane] : connection.in_flight) lanes.insert(lane);
  connection.in_flight.clear();
  for (Lane* lane : lanes) {
    stale_topics_.insert(lane->queue.topic());
    Finish(*lane, lane->queue.OnStreamBroken(status, now));
    if (!lane->listed) Place(*lane, now);
  }
  if (!lanes.empty() || !connection.listed.empty()) connection.not_before = now + connection.backoff.Next();
}

bool ProduceSender::HandleDueLanes(absl::Time now) {
  bool worked = false;
  while (!schedule_.empty() && schedule_.begin()->first <= now) {
    Lane& lane = *schedule_.begin()->second;
    Schedule(lane, absl::InfiniteFuture());
    Finish(lane, lane.queue.Expire(now));
    Place(lane, now);
    worked = true;
  }
  return worked;
}

bool ProduceSender::CanWrite(const Connection& connection) const {
  if (connection.writing || connection.listed.empty() || LacksProducerId()) return false;
  return connection.in_flight.empty() ||
         !(connection.alone || connection.listed.front()->queue.NextGoesAlone());
}

bool ProduceSender::Pump(Connection& connection, absl::Time now) {
  if (!CanWrite(connection) || now < connection.not_before) return false;
  if (connection.stream == nullptr) {
    if (connection.connecting_since == absl::InfiniteFuture()) connection.connecting_since = now;
    if (!OpenStream(connection)) {
      if (now - connection.connecting_since >= kConnectPatience) GiveUpConnecting(connection, now);
      return true;
    }
    connection.connecting_since = absl::InfiniteFuture();
  }
  Lane& lane = *connection.listed.front();
  connection.listed.pop_front();
  lane.listed = false;
  Finish(lane, lane.queue.Expire(now));
  const int64_t serial = connection.stream->serial();
  if (!lane.queue.IsSendable(now)) {
    Place(lane, now);
  } else if (lane.queue.NeedsResume(serial)) {
    lane.queue.ResumeSent();
    connection.listed.push_front(&lane);
    lane.listed = true;
    connection.writing = true;
    connection.stream->Write(EncodeResume(kResumeId, lane.queue.topic(), lane.queue.partition()));
  } else {
    SendBatch(connection, lane, now);
  }
  return true;
}

void ProduceSender::SendBatch(Connection& connection, Lane& lane, absl::Time now) {
  const std::shared_ptr<ProduceStream> stream = connection.stream;
  ProducerBatch* batch = lane.queue.Send(stream->serial(), now);
  if (connection.in_flight.empty()) connection.progress_at = now;
  connection.in_flight.emplace(batch->id, &lane);
  connection.alone = batch->suspect;
  connection.writing = true;
  Place(lane, now);
  // The batch is this thread's alone while it is in flight, so it can be compressed and written unlocked.
  mutex_.Unlock();
  const absl::Status encoded = Encode(lane, *batch);
  if (encoded.ok()) stream->Write(batch->item);
  mutex_.Lock();
  if (encoded.ok()) return;
  connection.writing = false;
  connection.in_flight.erase(batch->id);
  const bool needed_resume = lane.queue.NeedsResume(stream->serial());
  PartitionQueue::Batch finished = lane.queue.OnFailed(batch->id, encoded, now);
  if (!needed_resume) lane.queue.ResumeSent();  // the broker never saw it
  if (finished != nullptr) finished_(lane.queue, std::move(finished));
  if (!lane.listed) Place(lane, now);
}

absl::Status ProduceSender::Encode(const Lane& lane, ProducerBatch& batch) const {
  if (batch.encoded) return absl::OkStatus();
  if (!batch.packed) {
    NARU_ASSIGN_OR_RETURN(batch.packed, batch.builder.Finish(options_.compression));
  }
  absl::Cord bytes = *batch.packed;
  if (batch.stamp) {
    std::string stamp;
    AppendStampField(stamp, *batch.stamp);
    bytes.Prepend(std::move(stamp));
  }
  batch.item = EncodeProduceItem(batch.id, lane.queue.topic(), lane.queue.partition(), options_.acks, bytes);
  batch.encoded = true;
  return absl::OkStatus();
}

bool ProduceSender::OpenStream(Connection& connection) {
  const int64_t serial = next_stream_++;
  mutex_.Unlock();
  const std::shared_ptr<grpc::Channel> channel = client_->ChannelTo(connection.address);
  std::shared_ptr<ProduceStream> stream;
  if (channel->WaitForConnected(absl::ToChronoTime(absl::Now() + kReconnectSlice))) {
    ProduceStream::Events events;
    events.answered = [this, &connection](naru::v1::ProduceStreamResponse response) {
      absl::MutexLock lock(&mutex_);
      events_.push_back({&connection, nullptr, absl::OkStatus(), std::move(response)});
      wake_.Signal();
    };
    events.written = [this, &connection] {
      absl::MutexLock lock(&mutex_);
      connection.writing = false;
      wake_.Signal();
    };
    events.ended = [this, &connection](std::shared_ptr<ProduceStream> ended, absl::Status status) {
      absl::MutexLock lock(&mutex_);
      events_.push_back({&connection, std::move(ended), std::move(status), {}});
      wake_.Signal();
    };
    stream = ProduceStream::Start(channel, serial, std::move(events));
  }
  mutex_.Lock();
  connection.stream = std::move(stream);
  return connection.stream != nullptr;
}

void ProduceSender::GiveUpConnecting(Connection& connection, absl::Time now) {
  connection.connecting_since = absl::InfiniteFuture();
  connection.not_before = now + connection.backoff.Next();
  client_->MarkUnreachable(connection.address);
  const absl::Status unreachable =
      absl::UnavailableError(absl::StrCat(connection.address, " cannot be reached"));
  const std::deque<Lane*> lanes = std::exchange(connection.listed, {});
  for (Lane* lane : lanes) {
    lane->listed = false;
    stale_topics_.insert(lane->queue.topic());
    lane->queue.NoteObstacle(unreachable);
    Finish(*lane, lane->queue.Expire(now));
    Place(*lane, now);
  }
}

void ProduceSender::CancelSilentStreams(absl::Time now) {
  for (auto& [address, connection] : connections_) {
    if (connection->in_flight.empty() || connection->progress_at + options_.request_timeout > now) continue;
    connection->progress_at = now;
    if (connection->stream != nullptr) connection->stream->Cancel();
  }
}

void ProduceSender::RefreshStaleTopics(absl::Time now) {
  if (stale_topics_.empty() || now < refresh_not_before_) return;
  const absl::flat_hash_set<std::string> names = std::exchange(stale_topics_, {});
  mutex_.Unlock();
  for (const std::string& name : names) {
    if (auto routes = client_->RefreshTopic(name, kRefreshTimeout); routes.ok()) AddTopic(**routes);
  }
  mutex_.Lock();
  refresh_not_before_ = absl::Now() + kRefreshPause;
}

bool ProduceSender::AnyListed() const {
  return std::any_of(connections_.begin(), connections_.end(),
                     [](const auto& connection) { return !connection.second->listed.empty(); });
}

bool ProduceSender::InitProducer(absl::Time now) {
  if (!LacksProducerId() || now < init_not_before_ || !AnyListed()) return false;
  mutex_.Unlock();
  // An id whose answer was lost costs nothing, so it may be asked for as often as needed.
  naru::v1::InitProducerResponse response;
  const absl::Status status = client_->Call(
      CallKind::kRead, kInitTimeout,
      [&](const std::shared_ptr<grpc::Channel>& channel, grpc::ClientContext* context) {
        return naru::v1::TransactionService::NewStub(channel)->InitProducer(context, {}, &response);
      },
      &stop_);
  mutex_.Lock();
  if (!status.ok()) {
    HandleNoProducerId(status, absl::Now());
    return true;
  }
  producer_id_ = response.producer_id();
  for (auto& [name, lanes] : topics_) {
    for (auto& lane : lanes) lane->queue.StampFor(producer_id_);
  }
  return true;
}

void ProduceSender::HandleNoProducerId(const absl::Status& status, absl::Time now) {
  init_not_before_ = now + init_backoff_.Next();
  const absl::Status obstacle(
      status.code(),
      absl::StrCat("no producer id could be had from TransactionService.InitProducer: ", status.message()));
  std::vector<Lane*> lanes;
  for (auto& [address, connection] : connections_) {
    lanes.insert(lanes.end(), connection->listed.begin(), connection->listed.end());
    connection->listed.clear();
  }
  for (Lane* lane : lanes) {
    lane->listed = false;
    lane->queue.NoteObstacle(obstacle);
    Finish(*lane, IsRefused(status) ? lane->queue.FailWaiting(obstacle) : lane->queue.Expire(now));
    Place(*lane, now);
  }
}

void ProduceSender::Finish(const Lane& lane, std::vector<PartitionQueue::Batch> batches) {
  for (PartitionQueue::Batch& batch : batches) finished_(lane.queue, std::move(batch));
}

bool ProduceSender::StepTowardsStop(absl::Time now) {
  for (auto& [name, lanes] : topics_) {
    for (auto& lane : lanes) Finish(*lane, lane->queue.FailWaiting(ClosedError()));
  }
  bool streams_left = false;
  const bool first_step = cancel_at_ == absl::InfiniteFuture();
  if (first_step) cancel_at_ = now + kEndPatience;
  for (auto& [address, connection] : connections_) {
    connection->listed.clear();
    if (connection->stream == nullptr) continue;
    streams_left = true;
    if (first_step && connection->in_flight.empty() && !connection->writing) {
      connection->stream->WritesDone();
    } else if (first_step || now >= cancel_at_) {
      connection->stream->Cancel();
    }
  }
  if (now >= cancel_at_) cancel_at_ = now + kEndPatience;
  return !streams_left && events_.empty();
}

}  // namespace naru::client
