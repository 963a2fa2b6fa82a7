// The active coordinator: which brokers are there, who leads which partition, who is in sync. A state machine
// without IO, clocks, threads or randomness; its driver tells it what happens and carries out what it wants,
// in order. Thread-unsafe.
//
// What it decides is what stands in the metadata store; it only remembers. One write is under way at a time,
// each for the store as it was after the one before: a write says which election its writer won and which
// write it follows, and the store refuses it when either is over (correctness: a lease is for liveness,
// compare-and- swap for safety). Nobody is told of a decision before it is written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "cluster/coordinator/cluster_metadata.h"
#include "cluster/coordinator/topic_change.h"
#include "cluster/metadata/topic_partition.h"
#include "cluster/replication/partition_state.h"
#include "cluster/replication/replication_event.h"
#include "cluster/replication/replication_rules.h"

namespace naru::cluster {

struct WriteMetadata {
  MetadataWrite write;
};
// Read what the store holds now; then OnRead.
struct ReadMetadata {
  int64_t id = 0;
};
struct AnswerRegistration {
  uint64_t request = 0;
  BrokerEpoch epoch;
};
struct AnswerProposal {
  uint64_t request = 0;
  IsrOutcome outcome = IsrOutcome::kRefused;
  TopicPartition partition;
  int64_t version = 0;
  PartitionState state;  // as of that version; without replicas where there is no such partition
};
// For the brokers: these are as they stand in the store, where they were not before. `complete`: whatever was
// published before is void, all of metadata() is to be sent.
struct PublishChange {
  int64_t version = 0;
  bool complete = false;
  BrokerRecords brokers;
  Topics topics;  // null: gone, with its partitions
  PartitionStates partitions;
};
struct AnswerTopicRequest {
  uint64_t request = 0;
  int64_t version = 0;                                     // the metadata has it from here on
  absl::StatusOr<std::shared_ptr<const TopicInfo>> topic;  // null: it is gone
};
// Another coordinator is active: this one is done.
struct StepDown {};
using CoordinatorEffect = std::variant<WriteMetadata, ReadMetadata, AnswerRegistration, AnswerProposal,
                                       PublishChange, AnswerTopicRequest, StepDown>;
using CoordinatorEffects = std::vector<CoordinatorEffect>;

struct CoordinatorMachineOptions {
  // A broker that is not heard of for so long is fenced, milliseconds. At least 1.
  int64_t broker_session_ms = 2'000;
  // How often leadership is given back to preferred leaders, milliseconds. At least 1.
  int64_t rebalance_ms = 10'000;
  // Keys in one write: etcd takes 128 operations in a transaction, a few of which are comparisons.
  size_t keys_per_write_max = 100;
  // Of topics that clients make.
  TopicLimits limits;
  // What the cluster is called from the first write on; empty: it gets no name.
  std::string new_cluster_id;
};

class CoordinatorMachine {
 public:
  // `term`: the election that was won; `stored`: read after it. `rules` outlives the machine.
  CoordinatorMachine(const CoordinatorMachineOptions& options, const ReplicationRules& rules, int64_t term,
                     ClusterMetadata stored, int64_t now_ms);

  // What follows from the beginning: brokers were fenced by the coordinator before, which did not live to see
  // to their partitions.
  CoordinatorEffects Start();

  // A process asks to be that broker. `vouches`: it holds everything that the process before it claimed to.
  // Answered when whatever the process before it led or was in sync with is somebody else's (rule 10).
  CoordinatorEffects OnRegister(uint64_t request, BrokerId broker, std::string incarnation, bool vouches,
                                std::string client_address = "", std::string peer_address = "");
  // It is alive, and knows what was published up to `version`. False: register (again).
  struct HeartbeatAnswer {
    bool registered = false;
    bool fenced = true;
  };
  HeartbeatAnswer OnHeartbeat(BrokerId broker, BrokerEpoch epoch, int64_t version, int64_t now_ms,
                              CoordinatorEffects& effects);
  // Its connection broke, or it says goodbye.
  CoordinatorEffects OnGone(BrokerId broker, BrokerEpoch epoch);
  CoordinatorEffects OnProposal(uint64_t request, BrokerId broker, const TopicPartition& partition,
                                IsrProposal proposal);
  // The broker's copy is damaged, as it found out in this leader epoch. Not answered: the partition's next
  // state says what came of it (GiveUpCopy).
  CoordinatorEffects OnDamage(BrokerId broker, const TopicPartition& partition, LeaderEpoch leader_epoch);
  // Answered in the order of the requests.
  CoordinatorEffects OnTopicRequest(uint64_t request, TopicRequest wish);
  CoordinatorEffects OnWritten(int64_t id, WriteOutcome outcome);
  CoordinatorEffects OnRead(int64_t id, ClusterMetadata stored);
  // Looks for brokers that are not heard of. About every broker_session_ms / 4.
  CoordinatorEffects Tick(int64_t now_ms);

  // As written.
  const ClusterMetadata& metadata() const { return stored_; }
  // The ReadMetadata that it waits for.
  std::optional<int64_t> reading() const {
    return phase_ == Phase::kReading ? std::optional(last_id_) : std::nullopt;
  }

 private:
  enum class Phase {
    kIdle,  // nothing is under way
    kWriting,
    kProbing,  // the write before may yet come: an empty one settles which of them does
    kReading,
    kDeposed,
  };
  struct Registration {
    uint64_t request = 0;
    BrokerId broker;
    std::string incarnation;
    bool vouches = true;
    std::string client_address;
    std::string peer_address;
  };
  struct TopicWish {
    uint64_t request = 0;
    TopicRequest wish;
    std::shared_ptr<const TopicInfo> topic;  // as planned, while it is written
    bool unfinished = false;
  };
  struct Proposal {
    uint64_t request = 0;
    BrokerId broker;
    TopicPartition partition;
    IsrProposal proposal;
  };

  // Begins the next write, if something is to be written and nothing is.
  void Go();
  void WriteReconciled(MetadataWrite& write);
  void WriteBrokers(MetadataWrite& write);
  void WriteDamages(MetadataWrite& write);
  void WriteTopic(MetadataWrite& write);
  void WriteProposals(MetadataWrite& write);
  void WritePreferred(MetadataWrite& write);
  // The broker's record after the next step of the registration; the last one answers it.
  BrokerRecord NextStep(const Registration& registration);
  void Send(MetadataWrite write);
  void Apply(const MetadataWrite& write);
  void PublishAll();
  void Dirty(BrokerId broker);
  void Read();
  CoordinatorEffects Take();

  const CoordinatorMachineOptions options_;
  const ReplicationRules& rules_;
  const int64_t term_;
  ClusterMetadata stored_;

  Phase phase_ = Phase::kIdle;
  MetadataWrite writing_;
  std::vector<Proposal> writing_proposals_;    // answered when it is written
  std::optional<Registration> writing_epoch_;  // the registration that it completes
  std::optional<TopicWish> writing_topic_;
  int64_t last_id_ = 0;

  // What is to be seen to, in this order.
  std::set<TopicPartition> dirty_;
  std::set<BrokerId> to_fence_;
  std::deque<Registration> registrations_;
  std::map<BrokerId, BrokerEpoch> to_unfence_;
  // In which leader epoch the broker's copy of the partition was found to be damaged.
  std::map<std::pair<TopicPartition, BrokerId>, LeaderEpoch> damages_;
  std::deque<TopicWish> topic_wishes_;
  std::deque<Proposal> proposals_;
  bool rebalance_ = false;

  std::map<BrokerId, int64_t> heard_ms_;
  std::map<BrokerId, int64_t> registered_version_;  // a broker that knows less is not unfenced
  int64_t rebalance_at_ms_;
  CoordinatorEffects effects_;
};

}  // namespace naru::cluster
