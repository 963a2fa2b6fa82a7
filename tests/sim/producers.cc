#include "tests/sim/producers.h"

#include <algorithm>
#include <utility>

#include "storage/base/strings.h"
#include "tests/sim/partition_name.h"

namespace naru::sim {

using cluster::TopicPartition;
using Outcome = AppendResult::Outcome;

namespace {

constexpr size_t kInFlightMax = 5;
constexpr int64_t kSilence = 2 * kSecond;
// Of ids; nobody takes more.
constexpr int64_t kIdsEach = 1'000'000;

}  // namespace

void IdempotentProducer::Run() {
  next_id_ *= kIdsEach;
  at_.network.host(host_).After(at_.random.Between(0, 100 * kMs), [this] { Produce(); });
}

Broker& IdempotentProducer::Find(BrokerId id) {
  if (id == cluster::kNoBroker) return *at_.brokers[at_.random.Index(at_.brokers.size())];
  return **std::find_if(at_.brokers.begin(), at_.brokers.end(),
                        [&](const Broker* broker) { return broker->id() == id; });
}

void IdempotentProducer::Produce() {
  if (stopped_) return;
  at_.network.host(host_).After(at_.random.Between(5 * kMs, 60 * kMs), [this] { Produce(); });
  const TopicPartition partition = Pick(at_.partitions, at_.random);
  Stream& stream = streams_[partition];
  if (stream.next.producer_id == 0) stream.next.producer_id = ++next_id_;
  if (at_.loop.now_us() < stream.silent_until_us) return;
  if (at_.random.Chance(0.01)) {
    stream.silent_until_us = at_.loop.now_us() + at_.random.Between(kSecond, 12 * kSecond);
    return;
  }
  if (at_.random.Chance(0.005)) {
    Begin(stream, {stream.next.producer_id, stream.next.epoch + 1, 0});
  }
  // A few at once, so that several are on their way.
  for (int64_t more = at_.random.Between(1, 4); more > 0 && stream.waiting.size() < kInFlightMax; --more) {
    Add(partition, stream);
  }
  Pump(partition, stream);
}

void IdempotentProducer::Add(const TopicPartition& partition, Stream& stream) {
  Batch batch{
      .sequence = stream.next.base_sequence, .first = at_.next_value, .count = at_.random.Between(1, 3)};
  at_.next_value += batch.count;
  stream.next.base_sequence += batch.count;
  ProducerStamp stamp = stream.next;
  stamp.base_sequence = batch.sequence;
  batch.send = at_.checker.OnSend(partition, batch.first, batch.count, at_.loop.now_us(), stamp);
  stream.waiting.push_back(batch);
}

void IdempotentProducer::Pump(const TopicPartition& partition, Stream& stream) {
  if (stream.reconnecting || stream.waiting.empty()) return;
  if (stream.session.connection == nullptr) {
    ++stream.number;
    stream.sent = 0;
    stream.session = {std::make_shared<Connection>(), std::make_shared<AppendFence>(),
                      Find(stream.leader).id(), 0, at_.loop.now_us()};
    Watch(partition, stream.number);
  }
  while (stream.sent < stream.waiting.size()) Send(partition, stream, stream.waiting[stream.sent++]);
}

void IdempotentProducer::Send(const TopicPartition& partition, Stream& stream, const Batch& batch) {
  ProducerStamp stamp = stream.next;
  stamp.base_sequence = batch.sequence;
  Broker& leader = Find(stream.session.broker);
  const AppendAsk ask{.batch = MakeBatch(batch.first, batch.count, stamp),
                      .replicated = true,
                      .fence = stream.session.fence,
                      .fence_order = ++stream.session.last_order};
  const auto answer = [this, partition, number = stream.number, stamp,
                       from = leader.host()](const AppendResult& result) {
    at_.network.Send(from, host_, [this, partition, number, stamp, result] {
      OnAnswer(partition, number, stamp, result);
    });
  };
  at_.network.SendOn(stream.session.connection, host_, leader.host(),
                     [&leader, partition, ask, answer] { leader.OnAppend(partition, ask, answer); });
}

// A session that says nothing for too long is given up.
void IdempotentProducer::Watch(const TopicPartition& partition, uint64_t number) {
  at_.network.host(host_).After(kSilence / 4, [this, partition, number] {
    Stream& stream = streams_[partition];
    if (stream.number != number || stream.session.connection == nullptr) return;
    if (!at_.partitions.contains(partition)) return;
    if (!stream.waiting.empty() && at_.loop.now_us() - stream.session.heard_us > kSilence) {
      stream.leader = cluster::kNoBroker;
      return Reconnect(partition, stream, 0);
    }
    Watch(partition, number);
  });
}

void IdempotentProducer::Reconnect(const TopicPartition& partition, Stream& stream, int64_t pause_us) {
  stream.session = {};
  if (std::exchange(stream.reconnecting, true)) return;
  at_.network.host(host_).After(pause_us, [this, partition] {
    Stream& again = streams_[partition];
    again.reconnecting = false;
    if (at_.partitions.contains(partition)) Pump(partition, again);
  });
}

void IdempotentProducer::OnAnswer(const TopicPartition& partition, uint64_t number,
                                  const ProducerStamp& stamp, const AppendResult& result) {
  Stream& stream = streams_[partition];
  // Also an answer over a connection that was given up tells what is so; but nothing of what is to be done.
  const bool current = number == stream.number && stream.session.connection != nullptr;
  if (stamp.producer_id != stream.next.producer_id || stamp.epoch != stream.next.epoch) return;
  const auto batch = std::find_if(stream.waiting.begin(), stream.waiting.end(),
                                  [&](const Batch& other) { return other.sequence == stamp.base_sequence; });
  if (batch == stream.waiting.end() || batch->acked) return;
  if (result.outcome == Outcome::kOk) {
    batch->acked = true;
    at_.checker.OnResult(batch->send, result, at_.loop.now_us());
    if (current) {
      stream.session.heard_us = at_.loop.now_us();
      stream.leader = stream.session.broker;
    }
    while (!stream.waiting.empty() && stream.waiting.front().acked) {
      stream.waiting.pop_front();
      if (stream.sent > 0) --stream.sent;
    }
    if (current && stream.waiting.empty() && at_.random.Chance(0.01)) stream.session = {};
    return Pump(partition, stream);
  }
  // Of what was skipped the answer to the one before it tells why.
  if (!current || result.outcome == Outcome::kSkipped) return;
  if (result.outcome == Outcome::kOutOfOrder || result.outcome == Outcome::kFenced) {
    return OnRefusedForGood(partition, stamp, result);
  }
  stream.leader = result.outcome == Outcome::kRefused ? result.leader_hint : cluster::kNoBroker;
  Reconnect(partition, stream, at_.random.Between(5 * kMs, 100 * kMs));
}

void IdempotentProducer::OnRefusedForGood(const TopicPartition& partition, const ProducerStamp& stamp,
                                          const AppendResult& result) {
  at_.checker.Fail(absl::StrCat(
      "rule 20, 22: partition ", Name(partition), ", ", stamp.base_sequence, " of producer ",
      stamp.producer_id, " epoch ", stamp.epoch, " is refused for good as ",
      result.outcome == Outcome::kFenced ? "fenced" : "out of order",
      ", after all before it were acknowledged; expected is ", result.expected_sequence,
      ", the log of leader ", result.leader_hint.value(), " begins at ", result.log_start.value()));
  // One violation is enough of this.
  Begin(streams_[partition], {++next_id_, 0, 0});
}

void IdempotentProducer::Begin(Stream& stream, const ProducerStamp& next) {
  for (const Batch& batch : stream.waiting) {
    if (!batch.acked) at_.checker.OnResult(batch.send, {}, at_.loop.now_us());
  }
  stream.waiting.clear();
  stream.session = {};
  stream.sent = 0;
  stream.next = next;
}

std::string IdempotentProducer::Waiting() const {
  for (const auto& [partition, stream] : streams_) {
    if (stream.waiting.empty() || !at_.partitions.contains(partition)) continue;
    return absl::StrCat("sequence ", stream.waiting.front().sequence, " of producer ",
                        stream.next.producer_id, " epoch ", stream.next.epoch, " for partition ",
                        Name(partition), " is not acknowledged");
  }
  return "";
}

}  // namespace naru::sim
