// What the members of a simulated cluster's group were told and did, held against what must hold of groups:
// G1: a partition has one live owner; G2: commits of those who own it no more are refused; G3: nobody is told
// of an older position than one that was acknowledged before; G4: nor of one that nobody has committed who
// read up to it; G5: in the end everything is. Apart from those who do it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cluster/group/group_machine.h"
#include "tests/sim/checker.h"

namespace naru::sim {

// Who is not heard for so long is taken for gone, on both sides of a session.
inline constexpr int64_t kGroupSilenceMs = 500;

class GroupHistory {
 public:
  explicit GroupHistory(Checker& checker) : checker_(checker) {}

  // A member asks for a session; for one after the other under the same id, to resume.
  void OnAsked(uint64_t session, const std::string& member_id) { member_of_[session] = member_id; }
  // A coordinator has decided that it was too slow and is a member no more. Whether that lasts, and whether
  // the member ever hears of it from this coordinator, nobody knows yet.
  void OnShutOut(const std::string& member_id) { shut_out_.insert(member_id); }
  // The session's member was shut out, as its coordinator says by now; until it hears of that it may read on,
  // perhaps still under an earlier session.
  void OnFenced(uint64_t session);
  void OnWrong(const std::string& what) { checker_.Fail(what); }
  // The member reads the partition from now on, and from where.
  void OnAssigned(size_t member, uint64_t session, const cluster::GroupPartition& partition,
                  const std::optional<cluster::CommittedOffset>& position);
  // A member that reads on has another session.
  void OnResumed(size_t member, uint64_t session);
  void OnGivenUp(size_t member, const cluster::GroupPartition& partition);
  // The highest position that somebody who owned the partition has committed, or tried to.
  int64_t HighestSent(const cluster::GroupPartition& partition) const;
  // Of partitions that end there, what is not committed.
  int64_t Lag(const std::map<cluster::GroupPartition, int64_t>& ends) const;
  // By one who may not know that it is the owner no more; else it must be refused.
  size_t OnCommitSent(const cluster::GroupPartition& partition, int64_t offset, bool entitled);
  void OnCommitted(size_t commit);
  // What was acknowledged before somebody asks.
  std::map<cluster::GroupPartition, int64_t> Committed() const { return committed_; }
  void OnDescribed(const std::map<cluster::GroupPartition, int64_t>& before,
                   const cluster::CommittedOffsets& told);

  int64_t commits() const { return commits_; }
  size_t read_partitions() const;

 private:
  bool IsFenced(uint64_t session) const;

  struct Commit {
    cluster::GroupPartition partition;
    int64_t offset = 0;
    int64_t acknowledged_before = 0;
    bool entitled = false;
  };

  Checker& checker_;
  std::map<uint64_t, std::string> member_of_;     // of each session
  std::map<std::string, uint64_t> fenced_up_to_;  // of each member, the newest session that was
  std::set<std::string> shut_out_;
  std::map<cluster::GroupPartition, std::map<size_t, uint64_t>> readers_;  // members and their sessions
  std::vector<Commit> sent_;
  std::map<cluster::GroupPartition, int64_t> committed_;
  std::map<cluster::GroupPartition, int64_t> highest_sent_;
  int64_t commits_ = 0;
};

}  // namespace naru::sim
