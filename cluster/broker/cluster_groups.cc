#include "cluster/broker/cluster_groups.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "cluster/group/group_coordinator.h"
#include "storage/base/status.h"
#include "storage/batch/partitioner.h"

namespace naru::cluster {
namespace {

Groups::Done ForClient(Groups::Done done) {
  return [done = std::move(done)](const absl::Status& status) mutable { done(GroupErrorForClient(status)); };
}

}  // namespace

// Forgets the session when it has ended.
class ClusterGroups::Listener final : public GroupListener {
 public:
  Listener(ClusterGroups& groups, uint64_t session, std::shared_ptr<GroupListener> listener)
      : groups_(groups), session_(session), listener_(std::move(listener)) {}
  void OnJoined(const std::string& member_id, int64_t member_epoch) override {
    listener_->OnJoined(member_id, member_epoch);
  }
  void OnAssigned(const std::map<GroupPartition, std::optional<CommittedOffset>>& partitions) override {
    listener_->OnAssigned(partitions);
  }
  void OnRevoking(const std::set<GroupPartition>& partitions) override { listener_->OnRevoking(partitions); }
  void OnEnded(const absl::Status& why) override {
    groups_.Take(session_, true);
    listener_->OnEnded(SessionEndForClient(why));
  }

 private:
  ClusterGroups& groups_;
  const uint64_t session_;
  const std::shared_ptr<GroupListener> listener_;
};

void ClusterGroups::SetAddress(BrokerId broker, const std::string& address) {
  std::shared_ptr<PeerGroups> gone;
  absl::MutexLock lock(&mutex_);
  if (addresses_[broker] == address) return;
  addresses_[broker] = address;
  if (auto peer = peers_.extract(broker)) gone = std::move(peer.mapped());
}

std::shared_ptr<PeerGroups> ClusterGroups::Peer(BrokerId broker) {
  absl::MutexLock lock(&mutex_);
  const auto address = addresses_.find(broker);
  if (address == addresses_.end() || address->second.empty()) return nullptr;
  std::shared_ptr<PeerGroups>& peer = peers_[broker];
  if (peer == nullptr) peer = std::make_shared<PeerGroups>(links_, clock_, address->second);
  return peer;
}

bool ClusterGroups::HasTopic() const { return catalog_.Current()->topics.contains(kOffsetsTopic); }

Groups* ClusterGroups::CoordinatorOf(std::string_view group, std::shared_ptr<PeerGroups>& peer) {
  const std::shared_ptr<const TopicCatalog> catalog = catalog_.Current();
  const auto topic = catalog->topics.find(kOffsetsTopic);
  if (topic == catalog->topics.end()) return &here_;
  const PartitionId partition = PartitionForKey(group, topic->second->partition_count());
  const BrokerId leader = topic->second->partitions[static_cast<size_t>(partition.value())].leader;
  if (leader == catalog->self) return &here_;
  peer = Peer(leader);
  return peer.get();
}

uint64_t ClusterGroups::Join(const std::string& group, JoinGroup join,
                             std::shared_ptr<GroupListener> listener) {
  std::shared_ptr<PeerGroups> peer;
  Groups* coordinator = CoordinatorOf(group, peer);
  uint64_t session = 0;
  {
    absl::MutexLock lock(&mutex_);
    session = ++last_session_;
    if (coordinator != nullptr) sessions_[session].peer = peer;
  }
  if (coordinator == nullptr) {
    listener->OnEnded(GroupMoves());
    return session;
  }
  const uint64_t number = coordinator->Join(group, std::move(join),
                                            std::make_shared<Listener>(*this, session, std::move(listener)));
  absl::MutexLock lock(&mutex_);
  // It may have ended already.
  if (const auto found = sessions_.find(session); found != sessions_.end()) found->second.number = number;
  return session;
}

ClusterGroups::Session ClusterGroups::Take(uint64_t session, bool ends) {
  absl::MutexLock lock(&mutex_);
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return {};
  Session taken = found->second;
  if (ends) sessions_.erase(found);
  return taken;
}

void ClusterGroups::Lose(uint64_t session) {
  const Session taken = Take(session, true);
  if (taken.number == 0) return;
  taken.peer ? taken.peer->Lose(taken.number) : here_.Lose(taken.number);
}

void ClusterGroups::CutOff(uint64_t session) {
  const Session taken = Take(session, true);
  if (taken.number == 0) return;
  taken.peer ? taken.peer->CutOff(taken.number) : here_.CutOff(taken.number);
}

void ClusterGroups::Leave(uint64_t session) {
  const Session taken = Take(session, true);
  if (taken.number == 0) return;
  taken.peer ? taken.peer->Leave(taken.number) : here_.Leave(taken.number);
}

void ClusterGroups::Release(uint64_t session, std::set<GroupPartition> partitions) {
  const Session taken = Take(session, false);
  if (taken.number == 0) return;
  taken.peer ? taken.peer->Release(taken.number, std::move(partitions))
             : here_.Release(taken.number, std::move(partitions));
}

void ClusterGroups::Commit(const std::string& group, CommitOffsets commit, Done done) {
  if (commit.session != 0) {
    // To whoever let the session in: another coordinator would not know it.
    const Session taken = Take(commit.session, false);
    if (taken.number == 0) return done(GroupMoves());
    commit.session = taken.number;
    return taken.peer ? taken.peer->Commit(group, std::move(commit), ForClient(std::move(done)))
                      : here_.Commit(group, std::move(commit), ForClient(std::move(done)));
  }
  std::shared_ptr<PeerGroups> peer;
  Groups* coordinator = CoordinatorOf(group, peer);
  if (coordinator == nullptr) return done(GroupMoves());
  coordinator->Commit(group, std::move(commit), ForClient(std::move(done)));
}

void ClusterGroups::Remove(const std::string& group, LeaveGroup leave, Done done) {
  if (!HasTopic()) return done(absl::OkStatus());  // there are no groups
  std::shared_ptr<PeerGroups> peer;
  Groups* coordinator = CoordinatorOf(group, peer);
  if (coordinator == nullptr) return done(GroupMoves());
  coordinator->Remove(group, std::move(leave), ForClient(std::move(done)));
}

void ClusterGroups::Reset(const std::string& group, ResetOffsets reset, Done done) {
  std::shared_ptr<PeerGroups> peer;
  Groups* coordinator = CoordinatorOf(group, peer);
  if (coordinator == nullptr) return done(GroupMoves());
  coordinator->Reset(group, std::move(reset), ForClient(std::move(done)));
}

void ClusterGroups::Delete(const std::string& group, Done done) {
  if (!HasTopic()) return done(GroupNotFound(group));  // there are no groups
  std::shared_ptr<PeerGroups> peer;
  Groups* coordinator = CoordinatorOf(group, peer);
  if (coordinator == nullptr) return done(GroupMoves());
  coordinator->Delete(group, ForClient(std::move(done)));
}

void ClusterGroups::Describe(const std::string& group, SnapshotDone done) {
  if (!HasTopic()) return done(GroupNotFound(group));  // there are no groups
  std::shared_ptr<PeerGroups> peer;
  Groups* coordinator = CoordinatorOf(group, peer);
  if (coordinator == nullptr) return done(GroupMoves());
  coordinator->Describe(group, [done = std::move(done)](absl::StatusOr<GroupSnapshot> snapshot) mutable {
    if (!snapshot.ok()) return done(GroupErrorForClient(snapshot.status()));
    done(std::move(snapshot));
  });
}

namespace {

// What several brokers list, until the last has.
class Gathering {
 public:
  explicit Gathering(Groups::ListingDone done) : done_(std::move(done)) {}
  ~Gathering() {
    std::sort(all_.begin(), all_.end(), [](const auto& a, const auto& b) { return a.group < b.group; });
    if (error_.ok()) {
      done_(std::move(all_));
    } else {
      done_(error_);
    }
  }
  void Add(const absl::StatusOr<std::vector<GroupListing>>& listing) {
    absl::MutexLock lock(&mutex_);
    error_.Update(GroupErrorForClient(listing.status()));
    if (listing.ok()) all_.insert(all_.end(), listing->begin(), listing->end());
  }

 private:
  Groups::ListingDone done_;
  absl::Mutex mutex_;
  absl::Status error_;
  std::vector<GroupListing> all_;
};

}  // namespace

void ClusterGroups::List(ListingDone done) {
  const std::shared_ptr<const TopicCatalog> catalog = catalog_.Current();
  const auto topic = catalog->topics.find(kOffsetsTopic);
  std::vector<BrokerId> leaders;
  if (topic != catalog->topics.end()) {
    for (const PartitionPlacement& placement : topic->second->partitions) leaders.push_back(placement.leader);
  }
  std::sort(leaders.begin(), leaders.end());
  leaders.erase(std::unique(leaders.begin(), leaders.end()), leaders.end());
  const auto gathering = std::make_shared<Gathering>(std::move(done));
  const auto add = [gathering](const absl::StatusOr<std::vector<GroupListing>>& listing) {
    gathering->Add(listing);
  };
  here_.List(add);
  for (const BrokerId leader : leaders) {
    if (leader == catalog->self) continue;
    const std::shared_ptr<PeerGroups> peer = Peer(leader);
    if (peer == nullptr) {
      gathering->Add(GroupMoves());
    } else {
      peer->List(add);
    }
  }
}

void ClusterGroups::Shutdown() {
  std::map<BrokerId, std::shared_ptr<PeerGroups>> peers;
  {
    absl::MutexLock lock(&mutex_);
    addresses_.clear();
    peers = std::exchange(peers_, {});
  }
  for (const auto& [broker, peer] : peers) peer->Shutdown();
}

}  // namespace naru::cluster
