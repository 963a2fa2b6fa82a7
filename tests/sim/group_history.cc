#include "tests/sim/group_history.h"

#include <algorithm>

#include "storage/base/strings.h"

namespace naru::sim {

using cluster::GroupPartition;

void GroupHistory::OnFenced(uint64_t session) {
  uint64_t& newest = fenced_up_to_[member_of_[session]];
  newest = std::max(newest, session);
}

bool GroupHistory::IsFenced(uint64_t session) const {
  const std::string& member = member_of_.at(session);
  if (shut_out_.contains(member)) return true;
  const auto newest = fenced_up_to_.find(member);
  return newest != fenced_up_to_.end() && session <= newest->second;
}

void GroupHistory::OnAssigned(size_t member, uint64_t session, const GroupPartition& partition,
                              const std::optional<cluster::CommittedOffset>& position) {
  // It is about to hear that it is shut out, and what it owned may be with others already.
  if (IsFenced(session)) return;
  std::map<size_t, uint64_t>& readers = readers_[partition];
  for (const auto& [other, others_session] : readers) {
    if (other == member || IsFenced(others_session)) continue;
    checker_.Fail(absl::StrCat("G1: members ", other, " and ", member, " both read partition ",
                               partition.partition, " of the group"));
  }
  readers[member] = session;
  if (position && position->offset > HighestSent(partition)) {
    checker_.Fail(absl::StrCat("G4: member ", member, " is told to read partition ", partition.partition,
                               " of the group from ", position->offset, ", which nobody has committed"));
  }
  const auto committed = committed_.find(partition);
  if (committed == committed_.end() || (position && position->offset >= committed->second)) return;
  checker_.Fail(absl::StrCat("G3: member ", member, " is told to read partition ", partition.partition,
                             " of the group from ", position ? position->offset : 0, "; acknowledged was ",
                             committed->second));
}

void GroupHistory::OnResumed(size_t member, uint64_t session) {
  shut_out_.erase(member_of_.at(session));  // that did not last
  for (auto& [partition, readers] : readers_) {
    if (const auto reader = readers.find(member); reader != readers.end()) reader->second = session;
  }
}

void GroupHistory::OnGivenUp(size_t member, const GroupPartition& partition) {
  readers_[partition].erase(member);
}

int64_t GroupHistory::HighestSent(const GroupPartition& partition) const {
  const auto highest = highest_sent_.find(partition);
  return highest == highest_sent_.end() ? 0 : highest->second;
}

int64_t GroupHistory::Lag(const std::map<GroupPartition, int64_t>& ends) const {
  int64_t lag = 0;
  for (const auto& [partition, end] : ends) {
    const auto committed = committed_.find(partition);
    lag += std::max<int64_t>(end - (committed == committed_.end() ? 0 : committed->second), 0);
  }
  return lag;
}

size_t GroupHistory::OnCommitSent(const GroupPartition& partition, int64_t offset, bool entitled) {
  const auto committed = committed_.find(partition);
  sent_.push_back({partition, offset, committed == committed_.end() ? 0 : committed->second, entitled});
  if (entitled) highest_sent_[partition] = std::max(highest_sent_[partition], offset);
  return sent_.size() - 1;
}

void GroupHistory::OnCommitted(size_t number) {
  const Commit& commit = sent_[number];
  ++commits_;
  if (!commit.entitled) {
    checker_.Fail(absl::StrCat("G2: a stale commit of partition ", commit.partition.partition,
                               " of the group was taken"));
  }
  if (commit.offset < commit.acknowledged_before) {
    checker_.Fail(absl::StrCat("G3: partition ", commit.partition.partition,
                               " of the group is committed up to ", commit.offset, ", after ",
                               commit.acknowledged_before, " was acknowledged"));
  }
  int64_t& committed = committed_[commit.partition];
  committed = std::max(committed, commit.offset);
}

void GroupHistory::OnDescribed(const std::map<GroupPartition, int64_t>& before,
                               const cluster::CommittedOffsets& told) {
  for (const auto& [partition, offset] : before) {
    const auto found = told.find(partition);
    if (found != told.end() && found->second.offset >= offset) continue;
    checker_.Fail(absl::StrCat("G3: partition ", partition.partition, " of the group is described as ",
                               found == told.end() ? 0 : found->second.offset,
                               "; acknowledged before that was ", offset));
  }
  for (const auto& [partition, committed] : told) {
    if (committed.offset <= HighestSent(partition)) continue;
    checker_.Fail(absl::StrCat("G4: partition ", partition.partition, " of the group is described as ",
                               committed.offset, ", which nobody has committed"));
  }
}

size_t GroupHistory::read_partitions() const {
  return static_cast<size_t>(std::count_if(readers_.begin(), readers_.end(),
                                           [](const auto& entry) { return !entry.second.empty(); }));
}

}  // namespace naru::sim
