// The positions that a session commits, from when they are wanted until they are durable. Those of acks
// gather while one commit of such is under way, so that a fast consumer costs few; explicit commits go out at
// once. All go out in the order in which they were wanted. Pure; thread-unsafe.
//
// Those that fail since the group's coordinator moves come back. They go out again in their old order, ahead
// of everything newer, and not before all that were under way have come back, without what a newer one has
// committed meanwhile: to commit a position twice does no harm, to commit an older one over a newer takes the
// group back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "cluster/group/group_event.h"
#include "storage/base/ids.h"

namespace naru::services {

class CommitQueue {
 public:
  // Rises with the order; 0 is none. One that comes back keeps it.
  using Number = uint64_t;
  struct Outgoing {
    Number number = 0;
    cluster::CommittedOffsets offsets;
  };

  // `partition` is to be committed at `next`; of several only the newest counts.
  void Want(const cluster::GroupPartition& partition, Offset next);
  // What is wanted stands in line now, as one commit: its number.
  Number Gather();
  // An explicit commit stands in line, behind what is wanted.
  Number Add(int64_t commit_id, cluster::CommittedOffsets offsets);
  // The first in line, if it may go out now. Of those of acks only what is `mine`: nobody waits for the rest.
  // One of which nothing is left need not go out: OnDone.
  std::optional<Outgoing> TakeNext(int64_t now_ns,
                                   absl::FunctionRef<bool(const cluster::GroupPartition&)> mine);
  // One has come to its end. Of an explicit one, the client's commit_id.
  std::optional<int64_t> OnDone(Number number, bool durable);
  // One has failed with what will pass.
  void OnFailed(Number number, absl::Status why, int64_t now_ns);
  // There is a new coordinator: what came back need not wait.
  void OnResumed();

  // The newest position of `partition` that is not known to be durable.
  std::optional<Offset> NewestOf(const cluster::GroupPartition& partition) const;
  // Something stands in line.
  bool waiting() const { return !line_.empty(); }
  // Commits of acks that are not durable, but for what gathers.
  bool acks_pending() const { return acks_ > 0; }
  size_t explicit_count() const { return line_.size() + under_way_.size() - acks_; }
  // All is durable.
  bool idle() const { return wanted_.empty() && line_.empty() && under_way_.empty(); }
  // When TakeNext is due, where something came back.
  std::optional<int64_t> next_ns() const;
  // Since when none succeeded and some failed, and how.
  std::optional<int64_t> failing_since_ns() const { return failing_since_ns_; }
  const absl::Status& failure() const { return failure_; }

 private:
  struct Commit {
    std::optional<int64_t> commit_id;  // of an explicit one
    cluster::CommittedOffsets offsets;
  };
  using Commits = std::map<Number, Commit>;

  cluster::CommittedOffsets wanted_;
  Commits line_;
  Commits under_way_;
  size_t acks_ = 0;  // of both, without a commit_id
  Number last_ = 0;
  bool came_back_ = false;  // some did, and others are under way
  int64_t not_before_ns_ = 0;
  std::optional<int64_t> failing_since_ns_;
  absl::Status failure_;
};

}  // namespace naru::services
