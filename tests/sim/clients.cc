#include "tests/sim/clients.h"

#include <algorithm>
#include <iterator>

namespace naru::sim {

using cluster::TopicPartition;

namespace {

constexpr int64_t kProduceTimeout = 2 * kSecond;
constexpr int64_t kPollTimeout = 500 * kMs;

}  // namespace

void Client::Run() {
  Host& process = at_.network.host(host_);
  process.After(at_.random.Between(0, 100 * kMs), [this] { Produce(); });
  process.After(at_.random.Between(kSecond, 3 * kSecond), [this] { Delete(); });
}

void Client::OnMade(const TopicPartition& partition) {
  at_.network.host(host_).After(at_.random.Between(0, 100 * kMs), [this, partition] { Consume(partition); });
}

TopicPartition Pick(const std::set<TopicPartition>& partitions, Random& random) {
  return *std::next(partitions.begin(), static_cast<std::ptrdiff_t>(random.Index(partitions.size())));
}

Broker& Client::Leader(const TopicPartition& partition) {
  const auto known = leaders_.find(partition);
  if (known == leaders_.end() || known->second == cluster::kNoBroker) {
    return *at_.brokers[at_.random.Index(at_.brokers.size())];
  }
  return **std::find_if(at_.brokers.begin(), at_.brokers.end(),
                        [&](const Broker* broker) { return broker->id() == known->second; });
}

void Client::Produce() {
  if (stopped_) return;
  Host& process = at_.network.host(host_);
  process.After(at_.random.Between(5 * kMs, 60 * kMs), [this] { Produce(); });
  const TopicPartition partition = Pick(at_.partitions, at_.random);
  const int64_t count = at_.random.Between(1, 3);
  const int64_t first = at_.next_value;
  at_.next_value += count;
  const size_t send = at_.checker.OnSend(partition, first, count, at_.loop.now_us());
  process.After(kProduceTimeout, [this, send, partition] {
    if (at_.checker.OnResult(send, {}, at_.loop.now_us())) leaders_.erase(partition);
  });
  Broker& leader = Leader(partition);
  const auto answer = [this, send, partition, from = leader.host()](const AppendResult& result) {
    at_.network.Send(from, host_, [this, send, partition, result] {
      at_.checker.OnResult(send, result, at_.loop.now_us());
      if (result.outcome == AppendResult::Outcome::kRefused) leaders_[partition] = result.leader_hint;
      if (result.outcome == AppendResult::Outcome::kUnknown) leaders_.erase(partition);
    });
  };
  const bool replicated = at_.random.Chance(0.8);
  // A request that comes twice is two appends, without idempotence; a connection does not do that.
  at_.network.SendOnce(host_, leader.host(), [&leader, partition, first, count, replicated, answer] {
    leader.OnAppend(partition, {.batch = MakeBatch(first, count), .replicated = replicated}, answer);
  });
}

void Client::Consume(const TopicPartition& partition) {
  if (Stopped(partition)) return;
  Host& process = at_.network.host(host_);
  const uint64_t number = ++polls_[partition];
  process.After(kPollTimeout, [this, partition, number] {
    if (polls_[partition] == number) Consume(partition);
  });
  // Mostly the leader; now and then somebody who perhaps believes to be one.
  Broker& broker =
      at_.random.Chance(0.9) ? Leader(partition) : *at_.brokers[at_.random.Index(at_.brokers.size())];
  const Offset from = positions_[partition];
  const auto answer = [this, partition, number, from, before = at_.checker.BeforePoll(partition),
                       &broker](const PollResult& result) {
    at_.checker.OnServed(partition, result);
    at_.network.Send(broker.host(), host_, [this, partition, number, from, before, result] {
      at_.checker.OnPoll(partition, from, before, result);
      if (polls_[partition] != number) return;
      Offset& position = positions_[partition];
      if (result.served && position < result.log_start) position = result.log_start;
      if (result.next_offset > Offset(0)) position = result.next_offset;
      at_.network.host(host_).After(result.batches.empty() ? 30 * kMs : 1 * kMs, [this, partition, number] {
        if (polls_[partition] == number) Consume(partition);
      });
    });
  };
  at_.network.Send(host_, broker.host(),
                   [&broker, partition, from, answer] { broker.OnPoll(partition, from, answer); });
}

void Client::Delete() {
  if (stopped_) return;
  at_.network.host(host_).After(at_.random.Between(kSecond, 5 * kSecond), [this] { Delete(); });
  const TopicPartition partition = Pick(at_.partitions, at_.random);
  const int64_t read = positions_[partition].value();
  const Offset below(at_.random.Between(0, std::max<int64_t>(read, 0)));
  Broker& leader = Leader(partition);
  at_.checker.OnDeleteSent(partition, below);
  const auto answer = [this, partition, from = leader.host()](const DeleteResult& result) {
    at_.network.Send(from, host_, [this, partition, result] { at_.checker.OnDeleted(partition, result); });
  };
  at_.network.Send(host_, leader.host(),
                   [&leader, partition, below, answer] { leader.OnDelete(partition, below, answer); });
}

}  // namespace naru::sim
