// Those who write to a simulated cluster and read from it, as programs with a plain stub would: they find the
// leader by asking around, give up when no answer comes, and tell the checker what they saw.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "tests/sim/broker.h"
#include "tests/sim/checker.h"
#include "tests/sim/network.h"

namespace naru::sim {

class Client {
 public:
  struct Surroundings {
    Loop& loop;
    Random& random;
    Network& network;
    Checker& checker;
    std::vector<Broker*> brokers;
    std::vector<cluster::TopicPartition> partitions;
    int64_t& next_value;
  };
  Client(Surroundings surroundings, HostId host) : at_(surroundings), host_(host) {}

  // Until Stop, then what is under way is finished or given up.
  void Run();
  void Stop() { stopped_ = true; }

 private:
  void Produce();
  void Consume(size_t partition);
  void Delete();
  Broker& Leader(const cluster::TopicPartition& partition);

  Surroundings at_;
  const HostId host_;
  bool stopped_ = false;
  std::map<cluster::TopicPartition, BrokerId> leaders_;  // as far as it knows
  std::map<cluster::TopicPartition, Offset> positions_;
  std::map<cluster::TopicPartition, uint64_t> polls_;
};

}  // namespace naru::sim
