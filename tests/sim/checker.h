// What clients saw of a simulated cluster, held against the invariants of a log. It knows nothing of how the
// cluster works: values sent, answers, records polled, and what is there in the end. The invariants' names
// (L1 to L12) are those of docs/replication.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cluster/metadata/topic_partition.h"
#include "tests/sim/broker.h"

namespace naru::sim {

class Checker {
 public:
  using Partition = cluster::TopicPartition;

  // The first invariant that was broken, or "".
  const std::string& violation() const { return violation_; }
  void Fail(const std::string& what);

  // A send of `count` values from `first` on, all of them never sent before; with a stamp it may be sent
  // again, and the values of later sends of its producer are greater. The number is for its result.
  size_t OnSend(const Partition& partition, int64_t first, int64_t count, int64_t now_us,
                const std::optional<ProducerStamp>& producer = {});
  // False: it was known already; the first one counts.
  bool OnResult(size_t send, const AppendResult& result, int64_t now_us);

  // What clients were told before a poll, of each leader epoch: a poll of that epoch or a later one must see
  // it.
  using Told = std::map<LeaderEpoch, Offset>;
  struct Before {
    Told acked;    // everything below is in the log
    Told deleted;  // or gone
    Offset read;   // everything below was read
  };
  Before BeforePoll(const Partition& partition) const;
  // In the order in which polls are served, and then in that in which they arrive.
  void OnServed(const Partition& partition, const PollResult& result);
  void OnPoll(const Partition& partition, Offset from, const Before& before, const PollResult& result);

  // Everything below is gone, or will be.
  void OnDeleteSent(const Partition& partition, Offset below);
  void OnDeleted(const Partition& partition, const DeleteResult& result);

  // Its records have keys, and older ones of a key may be gone.
  void OnCompacted(const Partition& partition) { seen_[partition].compacted = true; }

  // What is in the partition when everything is over. All of it.
  void OnDrained(const Partition& partition, const PollResult& all);

  int64_t acked() const { return acked_; }
  int64_t refused() const { return refused_; }
  int64_t unknown() const { return unknown_; }
  int64_t polled() const { return polled_; }

 private:
  struct Send {
    Partition partition;
    int64_t first = 0;
    int64_t count = 0;
    int64_t begun_us = 0;
    int64_t ended_us = -1;
    std::optional<ProducerStamp> producer;
    AppendResult result;
  };
  struct Seen {
    std::map<Offset, int64_t> values;
    std::map<LeaderEpoch, Offset> high_watermarks;
    std::map<LeaderEpoch, Offset> log_starts;
    Before told;
    Offset delete_sent;
    bool compacted = false;
  };

  void See(const Partition& partition, Offset offset, int64_t value);
  void SeeAll(const Partition& partition, const PollResult& result);
  void CheckNothingSkipped(const Partition& partition, Offset from, const PollResult& result);
  void CheckOrder(const Partition& partition);
  void CheckProducers(const Partition& partition, Offset log_start);

  std::string violation_;
  std::vector<Send> sends_;
  std::map<int64_t, size_t> send_of_value_;
  std::map<int64_t, Offset> offset_of_value_;
  std::map<Partition, Seen> seen_;
  int64_t acked_ = 0, refused_ = 0, unknown_ = 0, polled_ = 0;
};

}  // namespace naru::sim
