// The other end of PeerGroups: what another broker asks of the groups that this one coordinates. One for each
// stream; its members' sessions are cut off with it. Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "cluster/group/groups.h"
#include "naru/internal/v1/peer.pb.h"

namespace naru::cluster {

class GroupForwardSession : public std::enable_shared_from_this<GroupForwardSession> {
 public:
  // The way back. Called on any thread; must not block.
  class Stream {
   public:
    virtual ~Stream() = default;
    virtual void Send(naru::internal::v1::GroupsResponse message) = 0;
  };

  // `groups`, those that this broker coordinates, outlives the session and what it began.
  GroupForwardSession(Groups& groups, std::shared_ptr<Stream> stream)
      : groups_(groups), stream_(std::move(stream)) {}

  // In the order in which they came.
  void OnMessage(const naru::internal::v1::GroupsRequest& message);
  void Closed();

 private:
  class Listener;
  using Response = naru::internal::v1::GroupsResponse;

  Groups::Done Answer(uint64_t id);
  void Join(uint64_t id, const std::string& group, const naru::internal::v1::JoinOrder& order);
  void Commit(uint64_t id, const std::string& group, CommitOffsets commit);
  // The coordinator's number of a session; 0: it has ended. `ends` forgets it.
  uint64_t Find(uint64_t id, bool ends);
  void Ended(uint64_t id);

  Groups& groups_;
  const std::shared_ptr<Stream> stream_;
  absl::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<uint64_t, uint64_t> sessions_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace naru::cluster
