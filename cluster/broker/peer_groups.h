// The groups that one other broker coordinates, as sessions and calls here see them: forwarded to it over one
// stream. Thread-safe. Completions and listeners are called on the stream's thread, or inline.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "cluster/broker/link.h"
#include "cluster/group/groups.h"
#include "storage/base/clock.h"

namespace naru::cluster {

class PeerGroups final : public Groups {
 public:
  PeerGroups(Links& links, const Clock& clock, std::string address)
      : links_(links), clock_(clock), address_(std::move(address)) {}
  ~PeerGroups() override { Shutdown(); }

  // As Groups. When the stream breaks: COORDINATOR_LOADING for sessions and for what changes nothing,
  // LEADER_CHANGED for the rest. When the other broker stops, or does not coordinate the group:
  // COORDINATOR_LOADING.
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
  void List(ListingDone done) override;

  // Ends sessions, and all that comes later, with SHUTTING_DOWN; what was asked before as when the stream
  // breaks.
  void Shutdown();

 private:
  using Request = naru::internal::v1::GroupsRequest;
  using Response = naru::internal::v1::GroupsResponse;
  using Answered = absl::AnyInvocable<void(absl::StatusOr<Response>)>;

  bool Connect() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Send(Request request, Answered answered);
  void Ask(const std::string& group, Request request, Done done);
  // To a session, with no answer; `ends` forgets it.
  void Tell(uint64_t session, Request request, bool ends);
  void OnMessage(uint64_t number, Response message);
  void OnBroken(uint64_t number);

  Links& links_;
  const Clock& clock_;
  const std::string address_;
  absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<Link<Request>> link_ ABSL_GUARDED_BY(mutex_);
  uint64_t number_ ABSL_GUARDED_BY(mutex_) = 0;  // of the link
  uint64_t last_number_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t broken_ms_ ABSL_GUARDED_BY(mutex_) = INT64_MIN / 2;
  uint64_t last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<uint64_t, Answered> waiting_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, std::shared_ptr<GroupListener>> sessions_ ABSL_GUARDED_BY(mutex_);
};

// COORDINATOR_LOADING: nothing was done.
absl::Status GroupMoves();
// What a client may hear of an error of a coordinator that is, or is about to be, none of the group.
absl::Status GroupErrorForClient(const absl::Status& status);
// The same for what ends a session: for that it is all one whether a write was kept.
absl::Status SessionEndForClient(const absl::Status& why);

}  // namespace naru::cluster
