// Every log of the cluster as one LogStore, for the services of a broker: what this broker leads is here,
// everything else is forwarded to its leader. A log's id is the same on all brokers.
//
// Readable is what is committed; an append completes when it is committed. Errors are LogStore's, and
// NO_LEADER (nothing was done), NOT_ENOUGH_REPLICAS (not appended), LEADER_CHANGED (nobody knows). Making,
// deleting and configuring logs is the coordinator's and the replicas' business: INTERNAL here.
//
// Thread-safe. Completions also run on the replicas' loop and on streams' threads.
#pragma once

#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "cluster/broker/led_logs.h"
#include "cluster/broker/peer_logs.h"
#include "cluster/coordinator/metadata_update.h"
#include "storage/log/log_store.h"

namespace naru::cluster {

class ClusterLogStore final : public LogStore {
 public:
  // Everything outlives it. Without `peers` nothing is forwarded: logs that others lead say NO_LEADER.
  ClusterLogStore(BrokerId self, LogStore& local, LedLogs& led, PeerLogs* peers)
      : self_(self), local_(local), led_(led), peers_(peers) {}

  // Who leads what from now on.
  void SetLeaders(const ClusterMetadata& metadata, const MetadataDifference& difference);

  void Append(AppendRequest request, AppendDone done) override;
  void Read(ReadRequest request, ReadDone done) override;
  void FindByTime(LogId log, int64_t timestamp_ms, TimeDone done) override;
  WatchId Watch(LogId log, Offset offset, absl::AnyInvocable<void()> fire) override;
  bool CancelWatch(WatchId watch) override;
  void MoveLogStart(LogId log, Offset start, Done done) override;
  absl::StatusOr<LogInfo> Info(LogId log) const override;
  void AskInfo(LogId log, InfoDone done) override;

  std::vector<LogId> Logs() const override { return local_.Logs(); }
  absl::StatusOr<EpochEnd> EndOffsetForEpoch(LogId log, LeaderEpoch epoch) const override {
    return local_.EndOffsetForEpoch(log, epoch);
  }
  absl::StatusOr<std::vector<ProducerState>> Producers(LogId log) const override {
    return local_.Producers(log);
  }
  void CreateLogs(std::vector<LogId> logs, Done done) override;
  void DeleteLogs(std::vector<LogId> logs, Done done) override;
  absl::Status Configure(LogId log, const LogSettings& settings) override;
  void AppendAsReplica(ReplicaAppendRequest request, AppendDone done) override;
  void Truncate(LogId log, Offset end, Done done) override;
  void Reset(LogId log, Offset start, std::vector<ProducerState> producers, Done done) override;
  void BeginEpoch(LogId log, LeaderEpoch epoch, Done done) override;
  // The local store is its owner's to stop.
  void Stop() override {}

 private:
  // Whom to ask, if it is not this broker. PARTITION_NOT_FOUND, NO_LEADER.
  absl::StatusOr<BrokerId> LeaderOf(LogId log) const;

  const BrokerId self_;
  LogStore& local_;
  LedLogs& led_;
  PeerLogs* const peers_;
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<LogId, BrokerId> leaders_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace naru::cluster
