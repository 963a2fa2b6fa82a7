// A process in the coordinator's role: stands for election, and drives a CoordinatorMachine while it is, or
// believes that it is, elected.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "cluster/coordinator/coordinator_machine.h"
#include "tests/sim/metadata_store.h"
#include "tests/sim/network.h"

namespace naru::sim {

// What a coordinator tells a broker. `complete`: these are all that it holds, as of `version`.
struct Assignments {
  int64_t version = 0;
  bool complete = false;
  cluster::PartitionStates partitions;
  std::map<cluster::TopicPartition, LogId> logs;  // of these
  // Those of all topics that there are. Set where others may have gone.
  std::optional<std::set<LogId>> all_logs;
};

class Coordinator {
 public:
  struct Surroundings {
    Loop& loop;
    Network& network;
    MetadataStore& store;
    HostId store_host;
    const cluster::ReplicationRules& rules;
    // Hands assignments to the broker's process.
    std::function<void(HostId from, BrokerId broker, Assignments assignments)> assign;
  };
  Coordinator(Surroundings surroundings, HostId host)
      : at_(std::move(surroundings)), host_(host), clock_(at_.loop) {}

  HostId host() const { return host_; }
  bool active() const { return machine_ != nullptr; }
  HostClock& clock() { return clock_; }
  // A new process on this host begins.
  void Boot();

  // What brokers send; a coordinator that is not active answers nothing.
  void OnRegister(BrokerId broker, std::string incarnation, bool vouches,
                  std::function<void(cluster::BrokerEpoch)> answer);
  void OnHeartbeat(BrokerId broker, cluster::BrokerEpoch epoch, int64_t version,
                   std::function<void(bool registered)> answer);
  void OnGone(BrokerId broker, cluster::BrokerEpoch epoch);
  using ProposalAnswer = std::function<void(const cluster::AnswerProposal&)>;
  void OnProposal(BrokerId broker, const cluster::TopicPartition& partition, cluster::IsrProposal proposal,
                  ProposalAnswer answer);
  void OnDamage(BrokerId broker, const cluster::TopicPartition& partition, LeaderEpoch leader_epoch);
  using TopicAnswer = std::function<void(const cluster::AnswerTopicRequest&)>;
  void OnTopicRequest(cluster::TopicRequest wish, TopicAnswer answer);

 private:
  void Campaign();
  void Won(int64_t term);
  void ReadFor(int64_t term);
  void KeepAlive();
  void Tick();
  void Do(cluster::CoordinatorEffects effects);
  void Write(const cluster::MetadataWrite& write);
  void Read(int64_t id);
  void Publish(const cluster::PublishChange& publish);
  // Everything that there is of this broker.
  Assignments AllOf(BrokerId broker) const;
  LogId LogOf(const cluster::TopicPartition& partition) const;
  std::set<LogId> AllLogs() const;
  void Ended();

  Surroundings at_;
  const HostId host_;
  HostClock clock_;
  std::unique_ptr<cluster::CoordinatorMachine> machine_;
  int64_t term_ = 0;
  bool campaigning_ = false;
  uint64_t last_request_ = 0;
  std::map<uint64_t, std::function<void(cluster::BrokerEpoch)>> registrations_;
  std::map<uint64_t, ProposalAnswer> proposals_;
  std::map<uint64_t, TopicAnswer> topic_requests_;
};

}  // namespace naru::sim
