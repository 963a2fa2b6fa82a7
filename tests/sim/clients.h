// Those who write to a simulated cluster and read from it, as programs with a plain stub would: they find the
// leader by asking around, give up when no answer comes, and tell the checker what they saw.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <vector>

#include "tests/sim/broker.h"
#include "tests/sim/checker.h"
#include "tests/sim/network.h"

namespace naru::sim {

// One of them, any.
cluster::TopicPartition Pick(const std::set<cluster::TopicPartition>& partitions, Random& random);

class Client {
 public:
  struct Surroundings {
    Loop& loop;
    Random& random;
    Network& network;
    Checker& checker;
    std::vector<Broker*> brokers;
    // Those that there are now.
    const std::set<cluster::TopicPartition>& partitions;
    int64_t& next_value;
  };
  Client(Surroundings surroundings, HostId host) : at_(surroundings), host_(host) {}

  // Until Stop, then what is under way is finished or given up.
  void Run();
  void Stop() { stopped_ = true; }
  // It is there, and is to be read.
  void OnMade(const cluster::TopicPartition& partition);

 private:
  void Produce();
  void Consume(const cluster::TopicPartition& partition);
  void Delete();
  bool Stopped(const cluster::TopicPartition& partition) const {
    return stopped_ || !at_.partitions.contains(partition);
  }
  Broker& Leader(const cluster::TopicPartition& partition);

  Surroundings at_;
  const HostId host_;
  bool stopped_ = false;
  std::map<cluster::TopicPartition, BrokerId> leaders_;  // as far as it knows
  std::map<cluster::TopicPartition, Offset> positions_;
  std::map<cluster::TopicPartition, uint64_t> polls_;
};

}  // namespace naru::sim
