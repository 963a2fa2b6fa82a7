// A broker of a simulated cluster: a disk, and the process on it that drives one Replica for each partition
// as the hub does, with a store in memory that loses what was not synced.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cluster/metadata/topic_partition.h"
#include "cluster/replication/replica.h"
#include "storage/log/memory_log_store.h"
#include "tests/sim/coordinator.h"
#include "tests/sim/network.h"

namespace naru::sim {

// Of all brokers.
inline constexpr cluster::ReplicationOptions kReplication{.lag_ms_max = 1'500, .proposal_retry_ms = 300};

// What became of an append, in the eyes of who asked.
struct AppendResult {
  enum class Outcome { kOk, kRefused, kUnknown };
  Outcome outcome = Outcome::kUnknown;
  Offset base_offset;
  LeaderEpoch leader_epoch;
  BrokerId leader_hint = cluster::kNoBroker;
};

// What a consumer got.
struct PollResult {
  bool served = false;
  LeaderEpoch leader_epoch;
  Offset high_watermark;
  bool knows_high_watermark = false;
  Offset log_start;
  std::vector<StoredBatchView> batches;  // below the high watermark
};

// Of a request to delete what is below an offset: done on every member of the ISR, or nobody knows.
struct DeleteResult {
  bool done = false;
  LeaderEpoch leader_epoch;
  Offset log_start;
};

class Broker {
 public:
  struct Surroundings {
    Loop& loop;
    Random& random;
    Network& network;
    const cluster::ReplicationRules& rules;
    std::vector<Coordinator*> coordinators;
    std::vector<cluster::TopicPartition> partitions;
    std::function<Broker&(BrokerId)> broker;
    // Something about this partition may have changed here.
    std::function<void(Broker&, const cluster::TopicPartition&)> touched;
  };
  Broker(BrokerId id, Surroundings surroundings, HostId host);
  ~Broker();

  BrokerId id() const { return id_; }
  HostId host() const { return host_; }
  cluster::BrokerEpoch epoch() const { return epoch_; }
  // Null where no process runs, or it was never told of the partition.
  const cluster::Replica* replica(const cluster::TopicPartition& partition) const;
  MemoryLogStore& store() { return *store_; }
  const MemoryLogStore& store() const { return *store_; }
  LogId log_of(const cluster::TopicPartition& partition) const;

  // The process ends here and now; of what was not synced, the oldest part may have reached the disk.
  void Kill();
  void Boot();
  // The disk is replaced by an empty one. Only while no process runs.
  void Wipe();
  void set_sync_us_max(int64_t sync_us_max) { sync_us_max_ = sync_us_max; }

  // In this broker's process.
  void OnAssigned(const Assignments& assignments);
  using FetchAnswer = std::function<void(cluster::ReplicaFetchAnswer, std::vector<StoredBatchView>)>;
  void OnFetch(const cluster::TopicPartition& partition, const cluster::ReplicaFetch& fetch,
               FetchAnswer answer);
  // With `replicated` it is answered when it is committed, and refused when that cannot be; else when it is
  // on this broker's disk, which promises nothing.
  void OnAppend(const cluster::TopicPartition& partition, const std::string& values, uint32_t records,
                bool replicated, std::function<void(AppendResult)> answer);
  PollResult OnPoll(const cluster::TopicPartition& partition, Offset from);
  void OnDelete(const cluster::TopicPartition& partition, Offset below,
                std::function<void(DeleteResult)> answer);

 private:
  struct WaitingAppend {
    LeaderEpoch leader_epoch;
    Appended appended;
    std::function<void(AppendResult)> answer;
  };
  struct WaitingDelete {
    LeaderEpoch leader_epoch;
    Offset below;
    std::function<void(DeleteResult)> answer;
  };
  class View;
  struct Part {
    LogId log;
    std::unique_ptr<View> view;
    std::unique_ptr<cluster::Replica> replica;
    uint64_t fetch = 0;  // the newest sent
    std::deque<WaitingAppend> appends;
    std::deque<WaitingDelete> deletes;
  };

  void Register();
  void Heartbeat();
  void Tick();
  void FetchOn(const cluster::TopicPartition& partition, Part& part);
  void OnFetched(const cluster::TopicPartition& partition, const cluster::ReplicaFetchAnswer& answer,
                 const std::vector<StoredBatchView>& batches);
  void Do(const cluster::TopicPartition& partition, Part& part, const cluster::ReplicaEffects& effects,
          const std::vector<StoredBatchView>& batches = {});
  void MoveStart(const cluster::TopicPartition& partition, Part& part, Offset start);
  void Propose(const cluster::TopicPartition& partition, const cluster::IsrProposal& proposal);
  void OnDurable(const cluster::TopicPartition& partition, Part& part);
  // Answers what can be answered, and has the world look.
  void Settle(const cluster::TopicPartition& partition, Part& part);
  void Sync();
  void Note(const std::string& what);
  Part* Find(const cluster::TopicPartition& partition);
  template <typename Callback>
  auto InThisLife(Callback callback);
  Host& process() { return at_.network.host(host_); }

  const BrokerId id_;
  Surroundings at_;
  const HostId host_;
  std::unique_ptr<MemoryLogStore> store_;
  std::string incarnation_;
  int64_t wipes_ = 0;
  int64_t sync_us_max_ = 2 * kMs;

  // The process's.
  cluster::BrokerEpoch epoch_;
  bool registered_ = false;
  Coordinator* coordinator_ = nullptr;  // who answered last
  int64_t version_ = -1;
  bool syncing_ = false;
  std::map<cluster::TopicPartition, Part> parts_;
};

}  // namespace naru::sim
