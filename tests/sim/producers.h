// Idempotent producers of a simulated cluster, as a good client is one: up to five batches on their way in
// each partition, in order over one connection at a time; what is not answered, or not for good, is sent
// again, in order, the same batches under the same sequences. Now and then one is silent for long, or begins
// a new epoch, as a program that was started again does, and leaves behind what nobody has answered.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/clients.h"

namespace naru::sim {

class IdempotentProducer {
 public:
  // `id`: of its first producer; it takes more of those from there on.
  IdempotentProducer(Client::Surroundings surroundings, HostId host, int64_t id)
      : at_(std::move(surroundings)), host_(host), next_id_(id) {}

  // Until Stop; then what was begun is sent again until it is acknowledged.
  void Run();
  void Stop() { stopped_ = true; }

  // What is not acknowledged yet; "": nothing.
  std::string Waiting() const;

 private:
  struct Batch {
    size_t send = 0;  // the checker's number
    int64_t sequence = 0;
    int64_t first = 0;
    int64_t count = 0;
    bool acked = false;
  };
  // One connection to one broker, and the fence that the broker keeps for it.
  struct Session {
    std::shared_ptr<Connection> connection;
    std::shared_ptr<AppendFence> fence;
    BrokerId broker = cluster::kNoBroker;
    int64_t last_order = 0;
    int64_t heard_us = 0;
  };
  // Of one partition.
  struct Stream {
    ProducerStamp next;  // of the next batch
    std::deque<Batch> waiting;
    size_t sent = 0;      // of those, over the connection
    uint64_t number = 0;  // of the connection
    Session session;
    BrokerId leader = cluster::kNoBroker;
    bool reconnecting = false;
    int64_t silent_until_us = 0;
  };

  void Produce();
  void Add(const cluster::TopicPartition& partition, Stream& stream);
  void Pump(const cluster::TopicPartition& partition, Stream& stream);
  void Send(const cluster::TopicPartition& partition, Stream& stream, const Batch& batch);
  void Watch(const cluster::TopicPartition& partition, uint64_t number);
  void OnAnswer(const cluster::TopicPartition& partition, uint64_t number, const ProducerStamp& stamp,
                const AppendResult& result);
  void Reconnect(const cluster::TopicPartition& partition, Stream& stream, int64_t pause_us);
  void OnRefusedForGood(const cluster::TopicPartition& partition, const ProducerStamp& stamp,
                        const AppendResult& result);
  // Gives up what waits.
  void Begin(Stream& stream, const ProducerStamp& next);
  Broker& Find(BrokerId id);

  Client::Surroundings at_;
  const HostId host_;
  int64_t next_id_;
  bool stopped_ = false;
  std::map<cluster::TopicPartition, Stream> streams_;
};

}  // namespace naru::sim
