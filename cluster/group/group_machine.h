// The protocol of one consumer group: who is a member, who reads which partition, what is committed. A state
// machine without IO, clocks, threads or randomness; its driver tells it what happens (On) and does what it
// answers, in that order.
//
// Assignment is the coordinator's and incremental (KIP-848): a change of members, subscriptions or topics
// gives a new target; a member gives up only what the target takes from it, and what is given up goes to its
// new owner only once the old one released it, or is no member any more. Everything else is read on
// meanwhile.
//
// What makes it safe, each a rule that a test takes away to see it missed (GroupRules):
//   - a partition is granted only while nobody owns it                                      (one owner at
//   most)
//   - who does not release in time, counted from when it was told, is fenced with all that it owns
//                                                                                    (no partition is stuck)
//   - a new session of a member fences the older one                        (one application per membership)
//   - a request to be let in that a later one of its session overtook does nothing       (nobody is shut out)
//   - a session that cannot be heard keeps all that its member owns, until its timeout      (it may read on)
//   - a commit counts only from the present session of the partition's owner (no stale positions)
//   - offsets expire only in groups without members                                        (KAFKA-13636)
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "cluster/group/assignor.h"
#include "cluster/group/group_event.h"

namespace naru::cluster {

struct GroupLimits {
  int64_t members_max = 10'000;                         // of one group; beyond: TOO_MANY_MEMBERS
  int64_t offsets_retention_ms = 7LL * 24 * 3'600'000;  // of a group that stays empty
  // Added to the session timeout of those who cannot be heard, and may not know it yet.
  int64_t unheard_grace_ms = 0;
};

// All true, but in tests of what goes wrong without one.
struct GroupRules {
  bool withhold_until_released = true;
  bool fence_slow_revocation = true;
  bool fence_older_session = true;
  bool check_committer = true;
  bool check_session = true;
  bool check_owner = true;
  bool keep_offsets_of_members = true;
  bool end_lost_sessions = true;
  bool keep_for_unheard = true;
  bool refuse_overtaken_joins = true;
};

enum class GroupState { kEmpty, kReconciling, kStable };

class GroupMachine {
 public:
  struct Member {
    std::string instance_id;
    std::string client;
    int64_t epoch = 0;  // of its last join
    int64_t session_timeout_ms = 0;
    int64_t rebalance_timeout_ms = 0;
    GroupSubscription subscription;
    JoinAttempt attempt;             // that it was let in by last
    std::set<GroupPartition> owned;  // may be read by it; those being revoked too
    // Of owned: to be released, and until when (steady). Absent: it was not told yet.
    std::map<GroupPartition, std::optional<int64_t>> revoking;
    std::set<GroupPartition> target;  // what it should own in the end
    uint64_t session = 0;             // 0: away
    bool unheard = false;             // while away: its session may go on, and resume
    int64_t away_until_ms = 0;        // steady; while away

    std::set<GroupPartition> RevokingPartitions() const;
  };

  explicit GroupMachine(const GroupLimits& limits, const GroupRules& rules = {})
      : limits_(limits), rules_(rules) {}

  // The fold: every record of the group in the log's order, before Start. Any prefix of what was persisted is
  // a state the group was in, or was about to be in.
  void Replay(const GroupRecord& record);
  // After replay. All members are away: they have their session timeout to come back.
  GroupEffects Start(std::shared_ptr<const GroupTopics> topics, const GroupTime& now);

  GroupEffects On(const GroupEvent& event, const GroupTime& now);
  // When PassTime is due, by the steady clock.
  std::optional<int64_t> NextDeadline(const GroupTime& now) const;

  GroupState state() const;
  int64_t epoch() const { return epoch_; }
  const std::map<std::string, Member>& members() const { return members_; }
  const CommittedOffsets& offsets() const { return offsets_; }
  // Who joins is one already, by its id or its instance_id.
  bool IsMember(const JoinGroup& join) const;
  // About what it takes of memory.
  int64_t bytes() const;
  // By how much that has changed since the last call.
  int64_t TakeGrowth();
  // Nothing of it is in the log: it need not be kept.
  bool vacant() const { return !row_known_ && members_.empty() && offsets_.empty(); }

 private:
  using Members = std::map<std::string, Member>;

  void Do(const JoinGroup& join);
  void Do(const LoseSession& lost);
  void Do(const LeaveGroup& leave);
  void Do(const ReleasePartitions& release);
  void Do(const RevokingTold& told);
  void Do(const CommitOffsets& commit);
  void Do(const ResetOffsets& reset);
  void Do(const DeleteGroup& request);
  void Do(const ChangeTopics& change);
  void Do(const PassTime& tick);

  Members::iterator FindJoining(const JoinGroup& join);
  // A later request of the same session was let in.
  bool Overtaken(const JoinGroup& join, const Member& member) const;
  void Resume(const JoinGroup& join, Members::iterator member);
  // `session` is the member's from now on; an older one ends.
  void BeginSession(const std::string& id, Member& member, const JoinGroup& join);
  // When a member that is away since now loses what it owns.
  int64_t AwayUntil(const Member& member) const;
  Members::iterator OfSession(uint64_t session);
  absl::Status CheckCommit(const CommitOffsets& commit) const;
  std::string NameOf(const GroupPartition& partition) const;  // for people
  void Put(const CommittedOffsets& offsets);
  void Keep(const GroupPartition& partition, const CommittedOffset& committed);
  CommittedOffsets::iterator Drop(CommittedOffsets::iterator offset);
  // Its partitions are free from now on.
  void Remove(Members::iterator member, const absl::Status& why);
  void TakeFrom(const std::string& id, const GroupPartition& partition);
  void ForgetAll();

  // What the members should own, from scratch.
  void Retarget();
  std::set<TopicId> Resolve(const GroupSubscription& subscription) const;
  // Brings what they own closer to it.
  void Reconcile();
  void Revoke(const std::string& id, Member& member);
  void Grant(const std::string& id, Member& member);
  // Ends On: writes what changed, ahead of what is said.
  GroupEffects Finish();

  void Changed(const std::string& id) { dirty_.insert(id); }
  template <typename Effect>
  void Say(Effect effect) {
    said_.emplace_back(std::move(effect));
  }

  const GroupLimits limits_;
  const GroupRules rules_;
  int64_t epoch_ = 0;
  int64_t empty_since_ms_ = 0;
  std::shared_ptr<const GroupTopics> topics_;
  Members members_;
  std::map<std::string, std::string, std::less<>> member_of_instance_;
  std::map<uint64_t, std::string> member_of_session_;
  std::map<GroupPartition, std::string> owners_;
  CommittedOffsets offsets_;
  int64_t text_bytes_ = 0;     // of the members' strings and the offsets' metadata
  int64_t bytes_counted_ = 0;  // by TakeGrowth

  // Of one On.
  GroupTime now_;
  GroupRow row_before_;
  bool row_known_ = false;  // there is a GroupRow in the log
  bool retarget_ = false;
  bool reconcile_ = false;
  std::set<std::string> joined_;
  std::set<std::string> resumed_;
  std::set<std::string> dirty_;
  std::vector<GroupRecord> records_;
  GroupEffects said_;
};

}  // namespace naru::cluster
