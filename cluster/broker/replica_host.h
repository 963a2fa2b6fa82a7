// All replicas of this broker: drives their state machines between the store, the coordinator's assignments,
// the followers that fetch here and the leaders that are fetched from.
//
// Everything happens on one loop, which its owner runs; what may be called from other threads says so.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "cluster/broker/follower_streams.h"
#include "cluster/broker/hosted_replica.h"
#include "cluster/broker/leader_streams.h"
#include "cluster/broker/link.h"
#include "cluster/broker/log_fronts.h"
#include "cluster/coordinator/metadata_update.h"
#include "cluster/loop/event_loop.h"
#include "storage/base/event_log.h"
#include "storage/log/log_store.h"

namespace naru::cluster {

struct ReplicaHostOptions {
  ReplicationOptions replication;
  // Of one partition in one answer to a follower, bytes; a larger batch comes alone. At least 1.
  int64_t fetch_bytes_max = 1 << 20;
  // Bytes on their way to one follower; beyond, its fetches wait. At least 1.
  int64_t stream_bytes_max = 8 << 20;
  // Bytes a second that followers out of the ISR are given from here, all together; 0: no bound.
  int64_t catch_up_bytes_per_second = 0;
  // Between attempts to reach a leader, and after a refusal, milliseconds. At least 1.
  int64_t retry_ms = 50;
  // How often lag is looked for, and followers are told of a high watermark that nothing else tells of,
  // milliseconds. At least 1.
  int64_t tick_ms = 250;
};

// LEADER_CHANGED: nobody knows whether the records of an append stay.
absl::Status LeaderChanged();

class ReplicaHost {
 public:
  // What replicas have to say to the coordinator.
  struct ToCoordinator {
    // False: there is none to hand it to.
    std::function<bool(const TopicPartition& partition, const IsrProposal& proposal)> propose;
    // Lost where there is none: it is said again.
    std::function<void(const TopicPartition& partition, LeaderEpoch leader_epoch)> report_damage;
  };

  // Everything outlives the host.
  ReplicaHost(const ReplicaHostOptions& options, BrokerId self, LogStore& store, Links& links,
              LogFronts& fronts, EventLoop& loop, EventLog& events, ToCoordinator coordinator);
  ~ReplicaHost();

  // --- On the loop.
  // The process has this registration from now on; what was before it is void.
  void Register(BrokerEpoch epoch);
  // What the metadata has become.
  void Assign(const ClusterMetadata& metadata, const MetadataDifference& difference);
  void OnIsrAnswer(const TopicPartition& partition, int64_t attempt, IsrOutcome outcome,
                   const PartitionState* state, int64_t version);
  // What was proposed and not answered may yet be carried out.
  void OnCoordinatorLost();
  void Tick();
  // What was gathered goes out. When the loop is idle.
  void Flush();
  // Everything that waits fails, and nothing more is done.
  void Shutdown();

  // --- From any thread.
  // An append of this leader epoch is on this broker's disk: `done` when it is committed. LEADER_CHANGED when
  // nobody knows.
  void Commit(LogId log, LeaderEpoch epoch, Appended appended, LogStore::AppendDone done);
  // An append that nobody waits for is on this broker's disk.
  void OnWritten(LogId log);
  // Whether this broker leads the log in this epoch, and nobody else has led it meanwhile: before it says for
  // good that something is not there, which the next leader may have committed (rule 20). False also when
  // those in sync do not answer within a second.
  void Confirm(LogId log, LeaderEpoch epoch, absl::AnyInvocable<void(bool leads)> done);
  // `what`, CORRUPT_DATA, came of reading the log. The partition is handed over to another replica, and this
  // copy made anew, where that can be (rule 21): `done` gets whether it is going to be, on the loop.
  void Damaged(LogId log, const absl::Status& what, absl::AnyInvocable<void(bool handed_over)> done);
  // As LogStore::MoveLogStart, of a log led here; at most to what is committed.
  void MoveStart(LogId log, Offset start, LogStore::Done done);
  LeaderStreams& leader_streams() { return leaders_; }

  struct Gauges {
    int64_t replicas = 0;
    int64_t led = 0;
    int64_t under_replicated = 0;  // led, with fewer in sync than there are replicas
    int64_t under_min_isr = 0;     // led, and nothing can be committed
    int64_t damaged = 0;           // copies that are to be made anew
    int64_t lag_offsets_max = 0;   // of any follower of a partition led, behind the end
    int64_t elections = 0;         // times that this broker began to lead a partition
    int64_t catch_up_bytes = 0;    // given to followers out of the ISR
    int64_t catch_up_waiting = 0;  // their fetches that wait for their turn, for the bound's sake
  };
  // On the loop.
  Gauges Count() const;

 private:
  friend class LeaderStreams;
  friend class FollowerStreams;

  HostedReplica* Find(LogId log);
  // On the store's thread.
  void OnStoreWritten(const std::vector<LogId>& logs);
  void AssignTopic(const ClusterMetadata& metadata, const TopicInfo& topic, std::vector<LogId>& missing);
  void CreateLogs(std::vector<LogId> logs);
  void DropReplica(LogId log);
  void DeleteOrphans(const ClusterMetadata& metadata);
  void OnLogExists(HostedReplica& part);
  void ApplyState(HostedReplica& part, const PartitionState& state, int64_t version);
  void BeginEpoch(HostedReplica& part, LeaderEpoch epoch);
  void OnEpochBegun(HostedReplica& part, LeaderEpoch epoch);
  void Do(HostedReplica& part, const ReplicaEffects& effects, ReplicaAppendRequest fetched = {});
  // On the loop. Whether others can go on.
  bool OnDamaged(HostedReplica& part, const absl::Status& what);
  void Cut(HostedReplica& part, const TruncateLog& cut);
  void Reset(HostedReplica& part, const ResetLog& reset);
  void MoveStart(HostedReplica& part, Offset start);
  void Append(HostedReplica& part, ReplicaAppendRequest fetched);
  void OnReplicaAppended(HostedReplica& part, const absl::Status& status);
  void OnDurable(HostedReplica& part);
  // A follower has fetched in this leader epoch.
  void OnFollowerHeard(HostedReplica& part, BrokerId follower);
  void SettleConfirmations(HostedReplica& part);
  // After anything that may have moved the high watermark or the role: answers what waits.
  void Settle(HostedReplica& part);
  // A completion of the store that runs `task` with the replica and the status on the loop, if the replica is
  // still there, under the registration of now.
  template <typename Task>
  auto OnLoop(LogId log, Task task);

  const ReplicaHostOptions options_;
  const ReplicationRules rules_;
  const BrokerId self_;
  LogStore& store_;
  LogFronts& fronts_;
  EventLoop& loop_;
  EventLog& events_;
  const ToCoordinator coordinator_;

  BrokerEpoch epoch_{-1};
  uint64_t registration_ = 0;  // counts them; what was begun under another is void
  std::map<LogId, HostedReplica> replicas_;
  std::map<TopicPartition, LogId> logs_;
  // Whose copy here is damaged, whatever the registration.
  std::set<LogId> damaged_;
  int64_t elections_ = 0;
  // Brokers that may lead.
  std::set<BrokerId> unfenced_;
  // Proposals that wait for their answer, by partition.
  std::map<TopicPartition, int64_t> proposed_;
  bool stopped_ = false;
  LeaderStreams leaders_;
  FollowerStreams followers_;
};

}  // namespace naru::cluster
