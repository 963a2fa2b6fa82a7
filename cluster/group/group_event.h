// What a group's state machine is told, and what it wants done. Values; group_text.h shows them as text.
//
// A session is what stands between the group and one running application: a Consume stream, or the calls of
// one poller. Its number is the driver's, never used twice.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "cluster/group/group_partition.h"

namespace naru::cluster {

// Both clocks in milliseconds: `steady` for timeouts, `wall` (since the epoch) for what is kept on disk.
struct GroupTime {
  int64_t steady_ms = 0;
  int64_t wall_ms = 0;
};

struct GroupSubscription {
  std::set<std::string, std::less<>> topics;
  std::string pattern;  // RE2, matched against whole topic names; internal topics never match. Empty: none
  friend bool operator==(const GroupSubscription&, const GroupSubscription&) = default;
};

struct CommittedOffset {
  int64_t offset = 0;          // the next to be read
  std::string metadata;        // the application's own
  int64_t commit_time_ms = 0;  // wall
  friend bool operator==(const CommittedOffset&, const CommittedOffset&) = default;
};
using CommittedOffsets = std::map<GroupPartition, CommittedOffset>;

// What is told. Those with a `request` are answered, with its number, once.

// Which of several requests to be let in this is. Those of one requester may overtake each other: one that
// was sent over a connection since abandoned arrives after those that followed. It is refused then, with
// COORDINATOR_LOADING, and the session of the later one stays.
struct JoinAttempt {
  uint64_t requester = 0;  // the session of the member's broker that asks, by a random number; 0: not known
  int64_t number = 0;      // rises with each request of that session
  friend bool operator==(const JoinAttempt&, const JoinAttempt&) = default;
};

// A member begins a session, or comes back: with the id of a member, or the instance_id of one, it is that
// member and the older session is fenced.
//
// Or a session that lost its coordinator goes on: it resumes, with the epoch that it has. Of what the member
// owns deliveries may be outstanding in it, so it is told of all of that anew (TellAssigned, also of
// nothing), and what is to move it is asked to give back. Only the member's present session may: for any
// other MEMBER_FENCED.
struct JoinGroup {
  uint64_t session = 0;
  std::string member_id;    // never empty: the driver makes one up where the client gave none
  std::string instance_id;  // static membership (KIP-345); empty: none
  GroupSubscription subscription;
  int64_t session_timeout_ms = 0;
  int64_t rebalance_timeout_ms = 0;
  std::string client;         // who it says it is, and where from; for people
  int64_t resumes_epoch = 0;  // 0: a session begins
  JoinAttempt attempt;
};
// The session ended without a word. Its member may come back within its session timeout.
struct LoseSession {
  uint64_t session = 0;
  // It may go on where it is not heard, and resume: for as long nothing is taken from its member.
  bool unheard = false;
};
// The member goes, named by its session, or by its id or instance_id (a request, then).
struct LeaveGroup {
  uint64_t session = 0;
  uint64_t request = 0;
  std::string member_id;
  std::string instance_id;
};
// Of these partitions, all being revoked, nothing is outstanding any more in the session.
struct ReleasePartitions {
  uint64_t session = 0;
  std::set<GroupPartition> partitions;
};
// The member was told of these (TellRevoking): its time to release them runs from now on.
struct RevokingTold {
  uint64_t session = 0;
  std::set<GroupPartition> partitions;
};
struct CommitOffsets {
  uint64_t request = 0;
  // Absent: of no member, which is allowed while there is none.
  std::optional<std::string> member_id;
  int64_t member_epoch = 0;
  // The member's session that sends it: one that it has left behind may not, though the epoch is the same.
  // 0: there is none, or it is not known.
  uint64_t session = 0;
  // commit_time_ms is not looked at.
  CommittedOffsets offsets;
};
// The same for a group without members, by its operator.
struct ResetOffsets {
  uint64_t request = 0;
  CommittedOffsets offsets;
};
struct DeleteGroup {
  uint64_t request = 0;
};
// The catalog has changed. Shared by all groups; never absent.
struct ChangeTopics {
  std::shared_ptr<const GroupTopics> topics;
};
// A deadline may have passed.
struct PassTime {};

using GroupEvent = std::variant<JoinGroup, LoseSession, LeaveGroup, ReleasePartitions, RevokingTold,
                                CommitOffsets, ResetOffsets, DeleteGroup, ChangeTopics, PassTime>;

// Rows of the internal topic: the group is their fold. A "gone" row is a tombstone for the row of that key.
struct GroupRow {
  int64_t epoch = 0;           // of the newest join; rises
  int64_t empty_since_ms = 0;  // wall; 0: there are members
  friend bool operator==(const GroupRow&, const GroupRow&) = default;
};
struct GroupGone {
  friend bool operator==(const GroupGone&, const GroupGone&) = default;
};
struct MemberRow {
  std::string member_id;
  std::string instance_id;
  std::string client;
  int64_t epoch = 0;
  int64_t session_timeout_ms = 0;
  int64_t rebalance_timeout_ms = 0;
  GroupSubscription subscription;
  JoinAttempt attempt;  // that it was let in by last
  std::set<GroupPartition> owned;
  friend bool operator==(const MemberRow&, const MemberRow&) = default;
};
struct MemberGone {
  std::string member_id;
  friend bool operator==(const MemberGone&, const MemberGone&) = default;
};
struct OffsetRow {
  GroupPartition partition;
  CommittedOffset committed;
  friend bool operator==(const OffsetRow&, const OffsetRow&) = default;
};
struct OffsetGone {
  GroupPartition partition;
  friend bool operator==(const OffsetGone&, const OffsetGone&) = default;
};
using GroupRecord = std::variant<GroupRow, GroupGone, MemberRow, MemberGone, OffsetRow, OffsetGone>;

// What is to be done, in this order. Everything that leaves the coordinator (all but Persist) waits until
// every Persist before it is durable: the machine runs ahead of its log, the world does not.

struct Persist {
  GroupRecord record;
};
struct TellJoined {
  uint64_t session = 0;
  std::string member_id;
  int64_t member_epoch = 0;
};
// Begin to read these; where nothing is committed, from where the member's own policy says.
struct TellAssigned {
  uint64_t session = 0;
  std::map<GroupPartition, std::optional<CommittedOffset>> partitions;
};
// Stop reading these, and release them when nothing is outstanding. RevokingTold when it was said.
struct TellRevoking {
  uint64_t session = 0;
  std::set<GroupPartition> partitions;
};
// The session is no member any more, or was never let in: it ends with this.
struct EndSession {
  uint64_t session = 0;
  absl::Status why;
};
struct Answer {
  uint64_t request = 0;
  absl::Status status;
};
using GroupEffect = std::variant<Persist, TellJoined, TellAssigned, TellRevoking, EndSession, Answer>;
using GroupEffects = std::vector<GroupEffect>;

}  // namespace naru::cluster
