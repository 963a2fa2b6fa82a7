// A group under everything that happens to groups, on a virtual clock: clients join, leave, die, hang, come
// back under the same name, answer late or never, lose their hub and resume, also by requests that overtake
// each other; the hub dies between deciding
// and writing, and between writing and telling; topics grow. One seed is one run. What the clients saw is
// held against G1, G2, G3 and G5.
//
// For tests.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "cluster/group/group_machine.h"

namespace naru::cluster {

class GroupSimulation {
 public:
  GroupSimulation(uint64_t seed, const GroupRules& rules);

  // A stormy time, then quiet, in which the group has to settle. The first rule that was broken, or "".
  std::string Run();
  // Of everything the machine did: the same for the same seed.
  uint64_t trace() const { return trace_; }
  int64_t commits() const { return commits_ok_; }
  int64_t refusals() const { return commits_refused_; }

 private:
  struct Client {
    std::string name;         // the member_id it joins with
    std::string instance_id;  // two clients share one: whoever joined last is the member
    std::string member_id;    // as it was told
    bool hangs = false;       // takes what comes and answers nothing
    uint64_t session = 0;     // live in its own eyes
    int64_t epoch = 0;        // of that session, or of the last; 0 until it is told
    int64_t stale_epoch = 0;  // of one that is over for good
    std::set<GroupPartition> reading;
    std::set<GroupPartition> revoking;
    // While nobody hears it, until it has resumed, or gives up.
    std::optional<int64_t> away_until_ms;
    uint64_t cut_session = 0;                // that of before
    std::set<GroupPartition> revoking_anew;  // told while it resumes
    std::optional<CommitOffsets> late;       // was on its way when the hub was lost
    JoinAttempt attempt;                     // the newest
    std::optional<JoinGroup> late_join;      // an earlier one, on its way
  };
  struct PendingCommit {
    GroupPartition partition;
    int64_t offset = 0;
    bool entitled = false;  // the client read that partition, in its live session, when it sent this
  };
  // What one step decided: told once its records are written.
  using Step = GroupEffects;

  void Act();  // something random happens
  void Settle();
  void Tell(const GroupEvent& event);
  void Queue(GroupEffects effects);
  void WriteOne();
  void RestartHub();
  void Elapse(int64_t ms);

  void Join(Client& client);
  void TakePlace(const Client& client);
  static bool Shares(const Client& client, const Client& other);  // a membership
  JoinGroup JoinOf(const Client& client) const;
  void Ask(Client& client, JoinGroup join);
  void AskLate(Client& client);
  void LoseHub(Client& client);  // it reads on
  void Resume(Client& client);
  void GiveUpAway();            // those whose time is over
  void Die(Client& client);     // its session just ends
  void Retire(Client& client);  // for good
  void Commit(Client& client);
  void CommitAsStale(Client& client);
  void CommitLate(Client& client);
  void Release(Client& client);

  void Happen(const GroupEffect& effect);
  void HappenAssigned(const TellAssigned& told);
  void HappenAnswered(const Answer& answer);
  Client* OfSession(uint64_t session);
  void Break(const std::string& what);
  void CheckSettled();
  size_t Below(size_t n) { return static_cast<size_t>(random_() % n); }

  std::mt19937_64 random_;
  const GroupRules rules_;
  const GroupLimits limits_{.members_max = 100, .offsets_retention_ms = 5'000};
  GroupTime now_{.steady_ms = 1'000, .wall_ms = 1'000'000};
  GroupTopics topics_;
  std::vector<GroupRecord> log_;
  std::deque<Step> unwritten_;
  std::unique_ptr<GroupMachine> group_;
  std::vector<Client> clients_;
  uint64_t next_session_ = 1;
  uint64_t next_requester_ = 1;
  uint64_t next_request_ = 1;
  std::map<uint64_t, PendingCommit> pending_;
  std::map<GroupPartition, int64_t> committed_;  // the last that was answered with OK
  std::map<GroupPartition, int64_t> sent_;       // the highest ever sent by one entitled
  int64_t commits_ok_ = 0;
  int64_t commits_refused_ = 0;
  uint64_t trace_ = 1469598103934665603u;
  std::string broken_;
};

}  // namespace naru::cluster
