#include "cluster/broker/follower_streams.h"

#include <utility>

#include "cluster/broker/peer_message.h"
#include "cluster/broker/replica_host.h"

namespace naru::cluster {

using naru::internal::v1::FetchedPartition;
using naru::internal::v1::PartitionFetch;
using naru::internal::v1::ReplicateResponse;

void FollowerStreams::SetAddress(BrokerId broker, const std::string& address) {
  Upstream& upstream = upstreams_[broker];
  if (upstream.address == address) return;
  upstream.address = address;
  if (!upstream.link) return;
  upstream.link.reset();
  OnBroken(broker, upstream.number, absl::UnavailableError("the broker is elsewhere now"));
}

void FollowerStreams::Reset() { upstreams_.clear(); }

void FollowerStreams::Leave(HostedReplica& part) {
  for (auto& [broker, upstream] : upstreams_) upstream.logs.erase(part.log);
  part.fetch_sent = false;
  part.last_fetch.reset();
}

void FollowerStreams::Fetch(HostedReplica& part) {
  const PartitionFollower* follower = part.replica ? part.replica->follower() : nullptr;
  if (follower == nullptr || part.epoch_begun != follower->leader_epoch() || part.append_failed) return;
  const auto fetch = part.replica->NextFetch(*part.view);
  if (!fetch) return;
  // One fetch is under way at a time; while it is, only what this replica claims can change.
  if (part.fetch_sent && part.last_fetch && part.last_fetch->durable_end == fetch->durable_end &&
      part.last_fetch->durable_start == fetch->durable_start) {
    return;
  }
  Upstream& upstream = upstreams_[follower->leader()];
  upstream.logs.insert(part.log);
  if (!upstream.link) {
    if (!upstream.waiting) Connect(follower->leader(), upstream);
    if (!upstream.link) return;
  }
  PartitionFetch message = ToMessage(part.log, *fetch);
  message.set_claims_only(part.fetch_sent);
  *upstream.outgoing.add_fetches() = std::move(message);
  part.fetch_sent = true;
  part.last_fetch = fetch;
}

void FollowerStreams::Connect(BrokerId leader, Upstream& upstream) {
  if (upstream.address.empty()) return;
  const uint64_t number = upstream.number = ++last_link_;
  EventLoop& loop = host_.loop_;
  upstream.outgoing.Clear();
  upstream.outgoing.set_broker_id(host_.self_.value());
  upstream.outgoing.set_broker_epoch(host_.epoch_.value());
  upstream.link = links_.Replicate(
      upstream.address, {.message =
                             [this, &loop, leader, number](ReplicateResponse in) {
                               loop.Post([this, leader, number, in = std::move(in)]() mutable {
                                 OnMessage(leader, number, std::move(in));
                               });
                             },
                         .broken =
                             [this, &loop, leader, number](absl::Status why) {
                               loop.Post([this, leader, number, why] { OnBroken(leader, number, why); });
                             }});
}

void FollowerStreams::Retry(BrokerId leader) {
  const auto found = upstreams_.find(leader);
  if (found == upstreams_.end()) return;
  found->second.waiting = false;
  const std::set<LogId> logs = found->second.logs;
  for (const LogId log : logs) {
    if (HostedReplica* part = host_.Find(log)) Fetch(*part);
  }
}

void FollowerStreams::OnBroken(BrokerId leader, uint64_t number, const absl::Status& why) {
  const auto found = upstreams_.find(leader);
  if (found == upstreams_.end() || found->second.number != number) return;
  Upstream& upstream = found->second;
  upstream.link.reset();
  upstream.outgoing.Clear();
  for (const LogId log : upstream.logs) {
    HostedReplica* part = host_.Find(log);
    if (part == nullptr) continue;
    part->fetch_sent = false;
    part->last_fetch.reset();
  }
  if (upstream.logs.empty() || std::exchange(upstream.waiting, true)) return;
  if (!std::exchange(upstream.missed, true)) {
    host_.events_.Write(Severity::kWarning, "leader_unreachable",
                        {{"leader", leader.value()}, {"address", upstream.address}, {"why", why.ToString()}});
  }
  host_.loop_.After(host_.options_.retry_ms, [this, leader] { Retry(leader); });
}

void FollowerStreams::OnMessage(BrokerId leader, uint64_t number, ReplicateResponse message) {
  const auto found = upstreams_.find(leader);
  if (found == upstreams_.end() || found->second.number != number) return;
  found->second.missed = false;
  for (FetchedPartition& answer : *message.mutable_partitions()) OnAnswer(answer);
}

void FollowerStreams::OnAnswer(FetchedPartition& message) {
  HostedReplica* part = host_.Find(LogId(message.log_id()));
  if (part == nullptr || part->replica == nullptr || part->replica->follower() == nullptr) return;
  const ReplicaFetchAnswer answer = FromMessage(message);
  // Of the role before; that of this one is still to come.
  if (answer.kind != ReplicaFetchAnswer::Kind::kRefused &&
      answer.leader_epoch != part->replica->leader_epoch()) {
    return;
  }
  part->fetch_sent = false;
  if (answer.kind == ReplicaFetchAnswer::Kind::kRefused) {
    host_.loop_.After(host_.options_.retry_ms, [this, log = part->log] {
      if (HostedReplica* again = host_.Find(log)) Fetch(*again);
    });
    return;
  }
  ReplicaAppendRequest fetched{
      .log = part->log, .batches = {}, .from = answer.offset, .gaps = message.gaps()};
  fetched.batches.reserve(static_cast<size_t>(message.batches_size()));
  for (auto& batch : *message.mutable_batches()) fetched.batches.push_back(FromMessage(batch));
  host_.Do(*part, part->replica->OnFetchAnswer(answer, *part->view), std::move(fetched));
  Fetch(*part);
}

void FollowerStreams::Flush() {
  for (auto& [broker, upstream] : upstreams_) {
    if (!upstream.link || upstream.outgoing.fetches().empty()) continue;
    upstream.link->Send(std::exchange(upstream.outgoing, {}));
  }
}

}  // namespace naru::cluster
