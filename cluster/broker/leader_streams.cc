#include "cluster/broker/leader_streams.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "cluster/broker/peer_message.h"
#include "cluster/broker/replica_host.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::cluster {

using naru::internal::v1::FetchedPartition;
using naru::internal::v1::PartitionFetch;
using naru::internal::v1::ReplicateRequest;
using naru::internal::v1::ReplicateResponse;
using Kind = ReplicaFetchAnswer::Kind;

namespace {

// A message goes out when it has come to this; or when the loop has nothing else to do.
constexpr int64_t kMessageBytes = 1 << 20;
// How often the bucket of those that catch up is looked into while it is empty.
constexpr int64_t kCatchUpMs = 20;

}  // namespace

LeaderStreams::SessionId LeaderStreams::Open(std::shared_ptr<Stream> stream) {
  const SessionId id = last_session_.fetch_add(1, std::memory_order_relaxed) + 1;
  host_.loop_.Post([this, id, stream = std::move(stream)]() mutable {
    if (host_.stopped_) {
      return stream->End(MakeError(Reason::kShuttingDown, "the broker is shutting down"));
    }
    sessions_[id].stream = std::move(stream);
  });
  return id;
}

void LeaderStreams::OnMessage(SessionId session, ReplicateRequest message) {
  host_.loop_.Post([this, session, message = std::move(message)] {
    const auto found = sessions_.find(session);
    if (found == sessions_.end()) return;
    if (message.broker_id() != 0) {
      found->second.broker = BrokerId(message.broker_id());
      found->second.epoch = BrokerEpoch(message.broker_epoch());
    }
    for (const PartitionFetch& fetch : message.fetches()) OnFetch(session, found->second, fetch);
    Pump(session, found->second);
  });
}

void LeaderStreams::OnDrained(SessionId session) {
  host_.loop_.Post([this, session] {
    const auto found = sessions_.find(session);
    if (found != sessions_.end()) Pump(session, found->second);
  });
}

void LeaderStreams::Closed(SessionId session) {
  host_.loop_.Post([this, session] { sessions_.erase(session); });
}

void LeaderStreams::EndAll() {
  for (auto& [id, session] : std::exchange(sessions_, {})) {
    session.stream->End(MakeError(Reason::kShuttingDown, "the broker is shutting down"));
  }
}

void LeaderStreams::OnFetch(SessionId id, Session& session, const PartitionFetch& message) {
  const LogId log(message.log_id());
  const ReplicaFetch fetch = FromMessage(session.broker, session.epoch, message);
  HostedReplica* part = host_.Find(log);
  if (message.claims_only()) {
    if (part == nullptr || part->replica == nullptr) return;
    ReplicaEffects effects;
    (void)part->replica->OnFetch(fetch, *part->view, host_.loop_.NowMs(), effects);
    host_.Do(*part, effects);
    return;
  }
  if (part == nullptr)
    return Answer(session, ToMessage(log, {.kind = Kind::kRefused, .offset = fetch.offset}));
  // The follower has heard of an epoch before this broker has, or has begun it.
  const bool starting = part->replica == nullptr || part->replica->role() == Replica::Role::kStarting;
  const LeaderEpoch own = part->replica ? part->replica->leader_epoch() : LeaderEpoch(-1);
  if (fetch.leader_epoch > own || (starting && fetch.leader_epoch == own)) {
    part->fetches[fetch.follower] = {.session = id, .fetch = fetch, .early = true};
    return;
  }
  Handle(id, session, *part, fetch);
}

void LeaderStreams::Handle(SessionId id, Session& session, HostedReplica& part, const ReplicaFetch& fetch) {
  ReplicaEffects effects;
  const ReplicaFetchAnswer answer = part.replica->OnFetch(fetch, *part.view, host_.loop_.NowMs(), effects);
  if (answer.kind != Kind::kBatches) {
    part.fetches.erase(fetch.follower);
    Answer(session, ToMessage(part.log, answer));
  } else {
    const bool more = fetch.offset < part.view->Positions().end;
    part.fetches[fetch.follower] = {.session = id,
                                    .fetch = fetch,
                                    .told = answer.high_watermark,
                                    .log_start = answer.log_start,
                                    .early = false,
                                    .queued = more};
    if (more) session.turns.push_back(part.log);
    host_.OnFollowerHeard(part, fetch.follower);
  }
  host_.Do(part, effects);
}

bool LeaderStreams::AnswerNow(HostedReplica& part, BrokerId follower) {
  const auto waiting = part.fetches.find(follower);
  if (waiting == part.fetches.end() || waiting->second.early) return false;
  if (waiting->second.queued) return true;  // its answer comes
  const auto session = sessions_.find(waiting->second.session);
  const PartitionLeader* leader = part.replica->leader();
  if (session == sessions_.end() || leader == nullptr) return false;
  Answer(session->second, ToMessage(part.log, {.kind = Kind::kBatches,
                                               .leader_epoch = leader->state().leader_epoch,
                                               .offset = waiting->second.fetch.offset,
                                               .epoch_end = {},
                                               .high_watermark = leader->high_watermark(),
                                               .log_start = part.view->Positions().start}));
  part.fetches.erase(waiting);
  return true;
}

void LeaderStreams::Serve(HostedReplica& part) {
  if (part.fetches.empty()) return;
  const Offset end = part.view->Positions().end;
  std::vector<SessionId> served;  // reading takes what waits away
  for (auto& [broker, waiting] : part.fetches) {
    if (waiting.early || waiting.queued || waiting.fetch.offset >= end) continue;
    const auto session = sessions_.find(waiting.session);
    if (session == sessions_.end()) continue;
    waiting.queued = true;
    session->second.turns.push_back(part.log);
    served.push_back(waiting.session);
  }
  for (const SessionId id : served) Pump(id, sessions_.at(id));
}

void LeaderStreams::ServeEarly(HostedReplica& part) {
  std::map<BrokerId, HostedReplica::WaitingFetch> early;
  std::swap(early, part.fetches);
  for (auto& [broker, waiting] : early) {
    const auto session = sessions_.find(waiting.session);
    if (session == sessions_.end()) continue;
    if (waiting.early && waiting.fetch.leader_epoch > part.replica->leader_epoch()) {
      part.fetches[broker] = waiting;
    } else {
      Handle(session->first, session->second, part, waiting.fetch);
      Pump(session->first, session->second);
    }
  }
}

void LeaderStreams::Tell(HostedReplica& part) {
  const PartitionLeader* leader = part.replica ? part.replica->leader() : nullptr;
  if (leader == nullptr) return;
  const Offset log_start = part.view->Positions().start;
  for (auto at = part.fetches.begin(); at != part.fetches.end();) {
    const HostedReplica::WaitingFetch& waiting = at->second;
    const auto session = sessions_.find(waiting.session);
    const bool news = waiting.told < leader->high_watermark() || waiting.log_start < log_start;
    if (waiting.early || waiting.queued || !news || session == sessions_.end()) {
      ++at;
      continue;
    }
    Answer(session->second, ToMessage(part.log, {.kind = Kind::kBatches,
                                                 .leader_epoch = leader->state().leader_epoch,
                                                 .offset = waiting.fetch.offset,
                                                 .epoch_end = {},
                                                 .high_watermark = leader->high_watermark(),
                                                 .log_start = log_start}));
    at = part.fetches.erase(at);
  }
}

void LeaderStreams::Answer(Session& session, FetchedPartition answer) {
  session.outgoing_bytes += static_cast<int64_t>(answer.ByteSizeLong());
  *session.outgoing.add_partitions() = std::move(answer);
  if (session.outgoing_bytes < kMessageBytes) return;
  session.outgoing_bytes = 0;
  session.stream->Send(std::exchange(session.outgoing, {}));
}

void LeaderStreams::Flush() {
  for (auto& [id, session] : sessions_) {
    if (session.outgoing.partitions().empty()) continue;
    session.outgoing_bytes = 0;
    session.stream->Send(std::exchange(session.outgoing, {}));
  }
}

void LeaderStreams::Pump(SessionId id, Session& session) {
  while (!session.turns.empty() &&
         session.stream->queued_bytes() + session.outgoing_bytes + session.reading_bytes <
             host_.options_.stream_bytes_max) {
    HostedReplica* part = host_.Find(session.turns.front());
    session.turns.pop_front();
    if (part == nullptr) continue;
    const auto waiting = part->fetches.find(session.broker);
    if (waiting == part->fetches.end() || waiting->second.session != id || !waiting->second.queued) continue;
    if (CatchesUp(*part, session.broker) && !MayCatchUp()) {
      session.waiting.push_back(part->log);
      WaitToCatchUp();
      continue;
    }
    const ReplicaFetch fetch = waiting->second.fetch;
    part->fetches.erase(waiting);
    // Less what it turns out to bring.
    if (CatchesUp(*part, session.broker)) {
      catch_up_left_ -= static_cast<double>(host_.options_.fetch_bytes_max);
    }
    Read(id, session, *part, fetch);
  }
}

bool LeaderStreams::CatchesUp(const HostedReplica& part, BrokerId follower) {
  const PartitionLeader* leader = part.replica ? part.replica->leader() : nullptr;
  return leader != nullptr && !leader->state().isr.contains(follower) &&
         !leader->state().elr.contains(follower);
}

bool LeaderStreams::MayCatchUp() {
  const auto rate = static_cast<double>(host_.options_.catch_up_bytes_per_second);
  if (rate <= 0) return true;
  const int64_t now_ms = host_.loop_.NowMs();
  const double seconds = static_cast<double>(now_ms - catch_up_filled_ms_) / 1'000;
  catch_up_filled_ms_ = now_ms;
  catch_up_left_ = std::min(catch_up_left_ + rate * seconds, rate / 10);
  return catch_up_left_ > 0;
}

void LeaderStreams::WaitToCatchUp() {
  if (std::exchange(catch_up_timer_, true)) return;
  host_.loop_.After(kCatchUpMs, [this] {
    catch_up_timer_ = false;
    std::vector<SessionId> ids;
    for (auto& [id, session] : sessions_) {
      if (session.waiting.empty()) continue;
      session.turns.insert(session.turns.end(), session.waiting.begin(), session.waiting.end());
      session.waiting.clear();
      ids.push_back(id);
    }
    for (const SessionId id : ids) Pump(id, sessions_.at(id));
  });
}

int64_t LeaderStreams::catch_up_waiting() const {
  int64_t waiting = 0;
  for (const auto& [id, session] : sessions_) waiting += static_cast<int64_t>(session.waiting.size());
  return waiting;
}

void LeaderStreams::Read(SessionId id, Session& session, HostedReplica& part, const ReplicaFetch& fetch) {
  session.reading_bytes += host_.options_.fetch_bytes_max;
  const ReadRequest request{.log = part.log,
                            .from = fetch.offset,
                            .bytes_max = host_.options_.fetch_bytes_max,
                            .include_undurable = true,
                            .include_emptied = true};
  host_.store_.Read(request, [this, id, log = part.log, fetch](absl::StatusOr<ReadResult> result) {
    host_.loop_.Post([this, id, log, fetch, result = std::move(result)]() mutable {
      OnRead(id, log, fetch, std::move(result));
    });
  });
}

void LeaderStreams::OnRead(SessionId id, LogId log, const ReplicaFetch& fetch,
                           absl::StatusOr<ReadResult> result) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  Session& session = found->second;
  session.reading_bytes -= host_.options_.fetch_bytes_max;
  HostedReplica* part = host_.Find(log);
  const PartitionLeader* leader = part != nullptr && part->replica ? part->replica->leader() : nullptr;
  ReplicaFetchAnswer answer{
      .kind = Kind::kRefused, .leader_epoch = fetch.leader_epoch, .offset = fetch.offset};
  if (leader == nullptr || leader->state().leader_epoch != fetch.leader_epoch) {
    Answer(session, ToMessage(log, answer));
  } else if (!result.ok()) {
    if (ReasonOf(result.status()) == Reason::kOffsetOutOfRange) {
      // The log's start has passed it meanwhile.
      Handle(id, session, *part, fetch);
    } else {
      host_.events_.Write(Severity::kError, "replica_read_failed",
                          {{"log", log.value()},
                           {"offset", fetch.offset.value()},
                           {"follower", fetch.follower.value()},
                           {"error", result.status().ToString()}});
      if (ReasonOf(result.status()) == Reason::kCorruptData) host_.OnDamaged(*part, result.status());
      Answer(session, ToMessage(log, answer));
    }
  } else {
    answer.kind = Kind::kBatches;
    answer.high_watermark = leader->high_watermark();
    answer.log_start = result->log_start;
    FetchedPartition message = ToMessage(log, answer);
    message.set_gaps(result->gaps);
    int64_t bytes = 0;
    for (const StoredBatchView& batch : result->batches) {
      ToMessage(batch, *message.add_batches());
      bytes += static_cast<int64_t>(batch.bytes.size());
    }
    if (CatchesUp(*part, session.broker)) {
      catch_up_bytes_ += bytes;
      catch_up_left_ += static_cast<double>(host_.options_.fetch_bytes_max - bytes);
    }
    Answer(session, std::move(message));
  }
  Pump(id, session);
}

}  // namespace naru::cluster
