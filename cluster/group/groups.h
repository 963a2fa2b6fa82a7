// All consumer groups, for those who run members of them: whoever coordinates a group does what is asked, and
// tells the sessions.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cluster/group/group_event.h"
#include "cluster/group/group_snapshot.h"

namespace naru::cluster {

// What one application hears from its group. Called on the coordinator's thread: short, and without calling
// back.
class GroupListener {
 public:
  virtual ~GroupListener() = default;
  virtual void OnJoined(const std::string& member_id, int64_t member_epoch) = 0;
  // The first after a session resumed tells of all partitions that it goes on with, of none too; those that
  // it was told before that to give back belong to it until then.
  virtual void OnAssigned(const std::map<GroupPartition, std::optional<CommittedOffset>>& partitions) = 0;
  virtual void OnRevoking(const std::set<GroupPartition>& partitions) = 0;
  // The last: MEMBER_FENCED, TOO_MANY_MEMBERS, or why the group cannot be served. When that will pass, the
  // session may resume as a new one (JoinGroup::resumes_epoch).
  virtual void OnEnded(const absl::Status& why) = 0;
};

// GROUP_NOT_FOUND.
absl::Status GroupNotFound(std::string_view group);
// NOT_COORDINATOR: nothing was done.
absl::Status NotGroupCoordinator();

// Thread-safe. Completions run on a thread of the coordinator's or of replication's, or inline when a request
// is refused at once, and must not block. Errors beside those of the group's machine: SHUTTING_DOWN,
// TOO_MANY_IN_FLIGHT, that of a write that failed, CORRUPT_DATA for groups whose part of the log cannot be
// read, and in a cluster COORDINATOR_LOADING while another broker takes the group over (nothing was done) and
// LEADER_CHANGED when nobody knows.
class Groups {
 public:
  using Done = absl::AnyInvocable<void(absl::Status)>;
  using SnapshotDone = absl::AnyInvocable<void(absl::StatusOr<GroupSnapshot>)>;
  using ListingDone = absl::AnyInvocable<void(absl::StatusOr<std::vector<GroupListing>>)>;

  virtual ~Groups() = default;

  // Begins a session and returns its number; `listener` is told of it until it has ended, or was lost or
  // left. `join.session` is not looked at; `join.member_id` is not empty.
  virtual uint64_t Join(const std::string& group, JoinGroup join,
                        std::shared_ptr<GroupListener> listener) = 0;
  virtual void Lose(uint64_t session) = 0;
  // The same for a session that may go on where it cannot be heard, and resume.
  virtual void CutOff(uint64_t session) = 0;
  virtual void Leave(uint64_t session) = 0;
  virtual void Release(uint64_t session, std::set<GroupPartition> partitions) = 0;

  // `request` inside is not looked at; `session` is one that Join gave.
  virtual void Commit(const std::string& group, CommitOffsets commit, Done done) = 0;
  virtual void Remove(const std::string& group, LeaveGroup leave, Done done) = 0;
  virtual void Reset(const std::string& group, ResetOffsets reset, Done done) = 0;
  virtual void Delete(const std::string& group, Done done) = 0;
  // GROUP_NOT_FOUND.
  virtual void Describe(const std::string& group, SnapshotDone done) = 0;
  // By name.
  virtual void List(ListingDone done) = 0;
};

}  // namespace naru::cluster
