#include "cluster/broker/peer_logs.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "cluster/broker/led_logs.h"
#include "cluster/broker/peer_message.h"
#include "cluster/metadata/broker_errors.h"
#include "cluster/metadata/error_message.h"
#include "storage/base/status.h"

namespace naru::cluster {

namespace v1 = naru::internal::v1;

namespace {

// Fences remembered before those that nobody holds any more are forgotten.
constexpr size_t kFencesMax = 10'000;

absl::Status Unreachable() { return NoLeader("the partition's leader cannot be reached"); }

absl::Status AppendOutcomeUnknown() {
  return MakeError(
      Reason::kLeaderChanged,
      "the connection to the partition's leader broke, and nobody knows whether it was done; read "
      "back, or send again as an idempotent producer");
}

// The error inside an answer, or OK.
absl::Status ErrorOf(const absl::StatusOr<v1::ForwardResponse>& response) {
  if (!response.ok()) return response.status();
  return response->has_error() ? FromErrorMessage(response->error()) : absl::OkStatus();
}

absl::Status LeaderReadError(const absl::Status& status) {
  return ReasonOf(status) == Reason::kLeaderChanged ? Unreachable() : status;
}

ReadResult FromMessage(v1::ReadAnswer& from) {
  ReadResult result;
  result.next_offset = Offset(from.next_offset());
  result.log_start = Offset(from.log_start());
  result.readable_end = Offset(from.readable_end());
  result.first_batch_bytes = from.first_batch_bytes();
  result.batches.reserve(static_cast<size_t>(from.batches_size()));
  for (auto& batch : *from.mutable_batches()) result.batches.push_back(cluster::FromMessage(batch));
  return result;
}

v1::AppendOrder ToMessage(const AppendRequest& request) {
  v1::AppendOrder to;
  to.set_acks(request.on_all_in_sync ? naru::v1::ACKS_ALL : naru::v1::ACKS_LEADER);
  if (request.expected_offset) to.set_expected_offset(request.expected_offset->value());
  to.set_fence_order(request.fence_order);
  const BatchInfo& info = request.info;
  to.set_records_bytes(info.records_bytes);
  to.set_record_count(info.record_count);
  to.set_codec(static_cast<uint32_t>(info.codec));
  to.set_max_timestamp_ms(info.max_timestamp_ms);
  to.set_needs_append_time(info.needs_append_time);
  to.set_has_keyed(info.has_keyed);
  to.set_has_keyless(info.has_keyless);
  to.set_crc32c(info.crc32c);
  absl::CopyCordToString(request.batch, to.mutable_batch());
  return to;
}

}  // namespace

PeerLogs::~PeerLogs() { Shutdown(); }

void PeerLogs::SetAddress(BrokerId broker, const std::string& address) {
  uint64_t number = 0;
  {
    absl::MutexLock lock(&mutex_);
    Peer& peer = peers_[broker];
    if (peer.address == address) return;
    peer.address = address;
    if (!peer.link) return;
    number = peer.number;
  }
  OnBroken(broker, number);
}

bool PeerLogs::Connect(BrokerId leader, Peer& peer) {
  if (peer.link) return true;
  const int64_t now_ms = clock_.MonotonicNs() / 1'000'000;
  if (peer.address.empty() || now_ms - peer.broken_ms < kReconnectMs) return false;
  const uint64_t number = peer.number = ++last_link_;
  peer.link = links_.Forward(
      peer.address,
      {.message = [this, leader, number](Response message) { OnMessage(leader, number, std::move(message)); },
       .broken = [this, leader, number](const absl::Status&) { OnBroken(leader, number); }});
  return true;
}

uint64_t PeerLogs::Send(BrokerId leader, Request request, Answered answered) {
  absl::Status why;
  {
    absl::MutexLock lock(&mutex_);
    const uint64_t id = ++last_id_;
    Peer& peer = peers_[leader];
    if (stopped_) {
      why = BrokerShuttingDown();
    } else if (!Connect(leader, peer)) {
      why = Unreachable();
    } else {
      request.set_id(id);
      peer.waiting.emplace(id, std::move(answered));
      if (request.has_watch()) watches_[id] = leader;
      peer.link->Send(std::move(request));
      return id;
    }
  }
  answered(why);
  return 0;
}

void PeerLogs::OnMessage(BrokerId leader, uint64_t number, Response message) {
  Answered answered;
  {
    absl::MutexLock lock(&mutex_);
    Peer& peer = peers_[leader];
    if (peer.number != number) return;
    auto waiting = peer.waiting.extract(message.id());
    if (!waiting) return;
    watches_.erase(message.id());
    answered = std::move(waiting.mapped());
  }
  answered(std::move(message));
}

void PeerLogs::OnBroken(BrokerId leader, uint64_t number) {
  std::unique_ptr<Link<Request>> link;  // ends without the lock
  std::map<uint64_t, Answered> waiting;
  {
    absl::MutexLock lock(&mutex_);
    Peer& peer = peers_[leader];
    if (peer.number != number) return;
    peer.number = 0;
    peer.broken_ms = clock_.MonotonicNs() / 1'000'000;
    link = std::move(peer.link);
    waiting = std::exchange(peer.waiting, {});
    for (const auto& [id, answered] : waiting) watches_.erase(id);
  }
  for (auto& [id, answered] : waiting) answered(AppendOutcomeUnknown());
}

void PeerLogs::Shutdown() {
  std::map<BrokerId, Peer> peers;
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    peers = std::exchange(peers_, {});
    watches_.clear();
  }
  for (auto& [broker, peer] : peers) {
    peer.link.reset();
    for (auto& [id, answered] : peer.waiting) answered(BrokerEndedMeanwhile());
  }
}

uint64_t PeerLogs::FenceId(const std::shared_ptr<AppendFence>& fence) {
  if (fence == nullptr) return 0;
  if (fences_.size() >= kFencesMax) {
    absl::erase_if(fences_, [](const auto& entry) { return entry.second.fence.expired(); });
  }
  Fence& known = fences_[fence.get()];
  // Another one may have been there before.
  if (known.id == 0 || known.fence.expired()) known = {++last_fence_, fence};
  return known.id;
}

void PeerLogs::Append(BrokerId leader, AppendRequest request, LogStore::AppendDone done) {
  Request message;
  message.set_log_id(request.log.value());
  *message.mutable_append() = ToMessage(request);
  {
    absl::MutexLock lock(&mutex_);
    message.mutable_append()->set_fence_id(FenceId(request.fence));
  }
  Send(leader, std::move(message),
       [fence = request.fence, order = request.fence_order,
        done = std::move(done)](absl::StatusOr<Response> response) mutable {
         if (const absl::Status status = ErrorOf(response); !status.ok()) {
           if (fence != nullptr) fence->Fail(order);
           return done(status);
         }
         const v1::AppendAnswer& answer = response->append();
         done(Appended{.base_offset = Offset(answer.base_offset()),
                       .next_offset = Offset(answer.next_offset()),
                       .append_time_ms = answer.append_time_ms(),
                       .log_start = Offset(answer.log_start()),
                       .duplicate = answer.duplicate()});
       });
}

void PeerLogs::Read(BrokerId leader, const ReadRequest& request, LogStore::ReadDone done) {
  Request message;
  message.set_log_id(request.log.value());
  v1::ReadOrder& order = *message.mutable_read();
  order.set_from(request.from.value());
  order.set_end(request.end.value());
  order.set_bytes_max(request.bytes_max);
  order.set_first_bytes_max(request.first_bytes_max);
  Send(leader, std::move(message), [done = std::move(done)](absl::StatusOr<Response> response) mutable {
    if (const absl::Status status = ErrorOf(response); !status.ok()) return done(LeaderReadError(status));
    done(FromMessage(*response->mutable_read()));
  });
}

void PeerLogs::FindByTime(BrokerId leader, LogId log, int64_t timestamp_ms, LogStore::TimeDone done) {
  Request message;
  message.set_log_id(log.value());
  message.mutable_find()->set_timestamp_ms(timestamp_ms);
  Send(leader, std::move(message), [done = std::move(done)](absl::StatusOr<Response> response) mutable {
    if (const absl::Status status = ErrorOf(response); !status.ok()) return done(LeaderReadError(status));
    const v1::FindAnswer& answer = response->find();
    if (!answer.has_offset()) return done(std::optional<TimedOffset>());
    done(std::optional(TimedOffset{Offset(answer.offset()), answer.timestamp_ms()}));
  });
}

void PeerLogs::AskInfo(BrokerId leader, LogId log, LogStore::InfoDone done) {
  Request message;
  message.set_log_id(log.value());
  message.mutable_info();
  Send(leader, std::move(message), [done = std::move(done)](absl::StatusOr<Response> response) mutable {
    if (const absl::Status status = ErrorOf(response); !status.ok()) return done(LeaderReadError(status));
    done(cluster::FromMessage(response->info()));
  });
}

void PeerLogs::MoveLogStart(BrokerId leader, LogId log, Offset start, LogStore::Done done) {
  Request message;
  message.set_log_id(log.value());
  message.mutable_move_start()->set_start(start.value());
  Send(leader, std::move(message),
       [done = std::move(done)](absl::StatusOr<Response> response) mutable { done(ErrorOf(response)); });
}

uint64_t PeerLogs::Watch(BrokerId leader, LogId log, Offset offset, absl::AnyInvocable<void()> fire) {
  Request message;
  message.set_log_id(log.value());
  message.mutable_watch()->set_offset(offset.value());
  return Send(leader, std::move(message),
              [fire = std::move(fire)](const absl::StatusOr<Response>&) mutable { fire(); });
}

bool PeerLogs::CancelWatch(uint64_t watch) {
  Answered cancelled;  // its captures end without the lock
  absl::MutexLock lock(&mutex_);
  const auto found = watches_.find(watch);
  if (found == watches_.end()) return false;
  Peer& peer = peers_[found->second];
  watches_.erase(found);
  auto waiting = peer.waiting.extract(watch);
  if (!waiting) return false;
  cancelled = std::move(waiting.mapped());
  Request message;
  message.set_cancel_watch(watch);
  if (peer.link) peer.link->Send(std::move(message));
  return true;
}

}  // namespace naru::cluster
