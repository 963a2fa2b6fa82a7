// A broker of a simulated cluster: a disk, and the process on it that drives one Replica for each partition
// as the hub does, with a store in memory that loses what was not synced.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cluster/metadata/topic_partition.h"
#include "cluster/replication/confirmations.h"
#include "cluster/replication/replica.h"
#include "storage/log/memory_log_store.h"
#include "tests/sim/batch_text.h"
#include "tests/sim/coordinator.h"
#include "tests/sim/network.h"
#include "tests/sim/rules.h"

namespace naru::sim {

// Of all brokers.
inline constexpr cluster::ReplicationOptions kReplication{.lag_ms_max = 1'500, .proposal_retry_ms = 300};

// That a leader gives to one fetch, unless told otherwise.
inline constexpr int64_t kFetchBytes = 256;

struct TopicPolicy {
  // How many records retention leaves; nothing: there is none.
  std::optional<int64_t> keeps;
  bool compacted = false;
};

struct AppendAsk {
  BatchText batch;
  // In its place: a RecordBatch of an internal topic, by who led it in this epoch.
  struct Raw {
    absl::Cord bytes;
    uint32_t record_count = 0;
    LeaderEpoch leader_epoch;
  };
  std::optional<Raw> raw;
  // It is answered when it is committed, and refused when that cannot be; else when it is on this broker's
  // disk, which promises nothing.
  bool replicated = true;
  // As AppendRequest's.
  std::shared_ptr<AppendFence> fence;
  int64_t fence_order = 0;
};

// What became of an append, in the eyes of who asked.
struct AppendResult {
  enum class Outcome {
    kOk,
    kRefused,  // it is not in the log; another attempt may be
    kSkipped,  // the same, since one before it over the same connection was
    kUnknown,
    kOutOfOrder,  // refused for good: the sequence is not the next, but `expected_sequence`
    kFenced,      // refused for good: of an old epoch
  };
  Outcome outcome = Outcome::kUnknown;
  Offset base_offset;
  LeaderEpoch leader_epoch;
  BrokerId leader_hint = cluster::kNoBroker;
  Offset log_start;
  int64_t expected_sequence = 0;
};

// What a consumer got.
struct PollResult {
  bool served = false;
  // There is nothing at the offset asked for, and never was or will be again.
  bool out_of_range = false;
  // What is there is damaged; it is not given.
  bool damaged = false;
  LeaderEpoch leader_epoch;
  Offset high_watermark;
  bool knows_high_watermark = false;
  Offset log_start;
  std::vector<StoredBatchView> batches;  // below the high watermark
  Offset log_end;                        // also of what is not committed
  Offset next_offset;                    // behind them, and behind what compaction left empty
};

// Of a request to delete what is below an offset: done on every member of the ISR, or nobody knows.
struct DeleteResult {
  bool done = false;
  LeaderEpoch leader_epoch;
  Offset log_start;
};

// What a leader answers to a follower's fetch.
struct Fetched {
  cluster::ReplicaFetchAnswer answer;
  std::vector<StoredBatchView> batches;
  bool gaps = false;  // as ReplicaAppendRequest's
  // Of a leader's answer; the fetch that is sent after it says so.
  uint64_t number = 0;
};

class Broker {
 public:
  struct Surroundings {
    Loop& loop;
    Random& random;
    Network& network;
    const Rules& rules;
    std::vector<Coordinator*> coordinators;
    std::function<Broker&(BrokerId)> broker;
    // Something about this partition may have changed here.
    std::function<void(Broker&, const cluster::TopicPartition&)> touched;
    std::function<TopicPolicy(const cluster::TopicPartition&)> policy;
    // Retention takes away what is below.
    std::function<void(const cluster::TopicPartition&, Offset below)> retained;
    // A leader is about to propose an ISR.
    std::function<void(Broker& leader, const cluster::TopicPartition&, const cluster::IsrProposal&)>
        proposing;
    // A follower is about to fetch; `arrive` is what happens at the leader then.
    std::function<void(Broker& follower, const cluster::TopicPartition&, const cluster::ReplicaFetch&,
                       const std::function<void()>& arrive)>
        fetching;
    // A follower is about to be answered; `arrive` is what happens there then.
    std::function<void(Broker& follower, const cluster::TopicPartition&, const cluster::ReplicaFetchAnswer&,
                       const std::function<void()>& arrive)>
        answering;
    // It could not write, and cannot go on.
    std::function<void(Broker&)> write_failed;
    // A process that ended was writing.
    std::function<void()> write_torn;
  };
  static constexpr cluster::BrokerEpoch kNotRegistered{-1};

  Broker(BrokerId id, Surroundings surroundings, HostId host);
  ~Broker();

  BrokerId id() const { return id_; }
  HostId host() const { return host_; }
  // Of the process that runs; kNotRegistered before it has one.
  cluster::BrokerEpoch epoch() const { return epoch_; }
  // Of its disk.
  const std::string& incarnation() const { return incarnation_; }
  // Null where no process runs, or it was never told of the partition.
  const cluster::Replica* replica(const cluster::TopicPartition& partition) const;
  MemoryLogStore& store() { return *store_; }
  const MemoryLogStore& store() const { return *store_; }

  // The process ends here and now; of what was not synced, the oldest part may have reached the disk, of an
  // append the first of its batches.
  void Kill();
  void Boot();
  // The disk is replaced by an empty one. Only while no process runs.
  void Wipe();
  // Of what is on the disk the end of each log is gone, as much as chance has it: what can be saved of it is
  // taken for another disk. Only while no process runs.
  void LoseEnds();
  // Its wall clock is wrong by so much from now on, and its monotonic one was still, or the process, for so
  // long.
  void JumpClock(int64_t wall_ms, int64_t monotonic_ms);
  int64_t jumped_us() const { return jumped_us_; }
  // By its monotonic clock.
  int64_t now_ms() const { return clock_.now_ms(); }
  // Of one batch at least.
  void set_fetch_bytes_max(int64_t bytes) { fetch_bytes_max_ = bytes; }
  void set_sync_us_max(int64_t sync_us_max) { sync_us_max_ = sync_us_max; }
  // The next write is an error: the process has to end, and not all of that is on the disk.
  void set_next_write_fails(bool fails) { next_write_fails_ = fails; }

  // In this broker's process.
  void OnAssigned(const Assignments& assignments);
  void OnFetch(const cluster::TopicPartition& partition, const cluster::ReplicaFetch& fetch, uint64_t after,
               const std::function<void(const Fetched&)>& answer);
  void OnAppend(const cluster::TopicPartition& partition, const AppendAsk& ask,
                const std::function<void(AppendResult)>& answer);
  void OnPoll(const cluster::TopicPartition& partition, Offset from,
              const std::function<void(const PollResult&)>& answer);
  void OnDelete(const cluster::TopicPartition& partition, Offset below,
                std::function<void(DeleteResult)> answer);
  // Rule 20.
  void ConfirmLeads(const cluster::TopicPartition& partition, std::function<void(bool leads)> done);

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
    // What was assigned last. There is no replica before the log is made.
    cluster::PartitionState assigned;
    int64_t version = -1;
    std::unique_ptr<View> view;
    std::unique_ptr<cluster::Replica> replica;
    uint64_t fetch = 0;  // the newest sent
    // The newest answer that came, in this leader epoch.
    LeaderEpoch fetched_in{-1};
    uint64_t fetched = 0;
    // How many were given to each follower.
    std::map<BrokerId, uint64_t> answered;
    cluster::Confirmations confirmations;
    std::map<uint64_t, std::function<void(bool leads)>> confirming;
    std::deque<WaitingAppend> appends;
    std::deque<WaitingDelete> deletes;
  };

  void NewIncarnation();
  void Register();
  void Heartbeat();
  void Tick();
  void DeleteOrphans(const std::set<LogId>& all_logs);
  void CreateLog(const cluster::TopicPartition& partition, LogId log);
  void OnLogExists(const cluster::TopicPartition& partition, Part& part);
  void Apply(const cluster::TopicPartition& partition, Part& part, const cluster::PartitionState& state,
             int64_t version);
  void FetchOn(const cluster::TopicPartition& partition, Part& part);
  void OnFetched(const cluster::TopicPartition& partition, const Fetched& fetched);
  void Do(const cluster::TopicPartition& partition, Part& part, const cluster::ReplicaEffects& effects,
          const Fetched& fetched = {});
  // Reading the partition's log has failed: the copy here is damaged.
  void OnDamaged(const cluster::TopicPartition& partition, const absl::Status& status);
  // What stores do by themselves, each replica for itself (broker_upkeep.cc).
  void KeepUp(const cluster::TopicPartition& partition, Part& part);
  void Compact(const cluster::TopicPartition& partition, Part& part);
  void Retain(const cluster::TopicPartition& partition, Part& part);
  void MoveStart(const cluster::TopicPartition& partition, Part& part, Offset start);
  void Propose(const cluster::TopicPartition& partition, const cluster::IsrProposal& proposal);
  void ReportDamage(const cluster::TopicPartition& partition, LeaderEpoch leader_epoch);
  void OnDurable(const cluster::TopicPartition& partition, Part& part);
  // Answers what can be answered, and has the world look.
  void Settle(const cluster::TopicPartition& partition, Part& part);
  void SettleAppends(Part& part);
  void SettleDeletes(const cluster::TopicPartition& partition, Part& part);
  void SettleConfirmations(Part& part);
  // Rule 20.
  void Confirm(Part& part, std::function<void(bool leads)> done);
  void Refuse(const cluster::TopicPartition& partition, const absl::Status& status,
              const std::function<void(AppendResult)>& answer);
  void Sync();
  void Note(const std::string& what);
  Part* Find(const cluster::TopicPartition& partition);
  template <typename Callback>
  auto InThisLife(Callback callback);
  Host& process() { return at_.network.host(host_); }

  const BrokerId id_;
  Surroundings at_;
  const HostId host_;
  HostClock clock_;
  int64_t jumped_us_ = -1;  // when its clock did last
  std::unique_ptr<MemoryLogStore> store_;
  std::string incarnation_;
  int64_t disks_ = 0;  // it has had
  int64_t sync_us_max_ = 2 * kMs;
  bool next_write_fails_ = false;
  std::map<LogId, EpochEnd> left_over_epochs_;  // without rule 4
  int64_t fetch_bytes_max_ = kFetchBytes;

  // The process's.
  cluster::BrokerEpoch epoch_ = kNotRegistered;
  bool registered_ = false;
  Coordinator* coordinator_ = nullptr;  // who answered last
  int64_t version_ = -1;
  int64_t heard_ = -1;  // the newest version of the metadata
  bool syncing_ = false;
  std::map<cluster::TopicPartition, Part> parts_;
};

}  // namespace naru::sim
