// Every consumer group of the cluster, for the services of a broker: those that this broker coordinates are
// here, all others are forwarded to their coordinators, the leaders of their partitions of
// __consumer_offsets. Thread-safe; completions and listeners as in GroupCoordinator and PeerGroups.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "cluster/broker/link.h"
#include "cluster/broker/peer_groups.h"
#include "cluster/group/groups.h"
#include "cluster/metadata/topic_catalog.h"
#include "storage/base/clock.h"

namespace naru::cluster {

class ClusterGroups final : public Groups {
 public:
  // `here` coordinates the groups of this broker. Everything outlives it.
  ClusterGroups(Groups& here, const CatalogSource& catalog, Links& links, const Clock& clock)
      : here_(here), catalog_(catalog), links_(links), clock_(clock) {}

  // Where a broker's peers reach it from now on.
  void SetAddress(BrokerId broker, const std::string& address);

  uint64_t Join(const std::string& group, JoinGroup join, std::shared_ptr<GroupListener> listener) override;
  void Lose(uint64_t session) override;
  void CutOff(uint64_t session) override;
  void Leave(uint64_t session) override;
  void Release(uint64_t session, std::set<GroupPartition> partitions) override;
  void Commit(const std::string& group, CommitOffsets commit, Done done) override;
  void Remove(const std::string& group, LeaveGroup leave, Done done) override;
  void Reset(const std::string& group, ResetOffsets reset, Done done) override;
  void Delete(const std::string& group, Done done) override;
  void Describe(const std::string& group, SnapshotDone done) override;
  // Of all brokers.
  void List(ListingDone done) override;

  // Ends what is forwarded.
  void Shutdown();

 private:
  struct Session {
    std::shared_ptr<PeerGroups> peer;  // null: here
    uint64_t number = 0;
  };
  class Listener;

  // Who coordinates the group. `found` when it is this broker, or there is no topic yet; null: nobody, at
  // present.
  Groups* CoordinatorOf(std::string_view group, std::shared_ptr<PeerGroups>& peer);
  bool HasTopic() const;
  std::shared_ptr<PeerGroups> Peer(BrokerId broker);
  Session Take(uint64_t session, bool ends);

  Groups& here_;
  const CatalogSource& catalog_;
  Links& links_;
  const Clock& clock_;
  absl::Mutex mutex_;
  std::map<BrokerId, std::string> addresses_ ABSL_GUARDED_BY(mutex_);
  std::map<BrokerId, std::shared_ptr<PeerGroups>> peers_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_session_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<uint64_t, Session> sessions_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace naru::cluster
