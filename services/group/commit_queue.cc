#include "services/group/commit_queue.h"

#include <algorithm>
#include <utility>

#include "services/group/membership.h"

namespace naru::services {

void CommitQueue::Want(const cluster::GroupPartition& partition, Offset next) {
  wanted_[partition] = {.offset = next.value(), .metadata = {}};
}

CommitQueue::Number CommitQueue::Gather() {
  if (wanted_.empty()) return 0;
  line_[++last_].offsets = std::exchange(wanted_, {});
  ++acks_;
  return last_;
}

CommitQueue::Number CommitQueue::Add(int64_t commit_id, cluster::CommittedOffsets offsets) {
  Gather();
  line_[++last_] = {.commit_id = commit_id, .offsets = std::move(offsets)};
  return last_;
}

std::optional<CommitQueue::Outgoing> CommitQueue::TakeNext(
    int64_t now_ns, absl::FunctionRef<bool(const cluster::GroupPartition&)> mine) {
  if (came_back_ && (!under_way_.empty() || now_ns < not_before_ns_)) return std::nullopt;
  came_back_ = false;
  if (line_.empty()) return std::nullopt;
  auto next = line_.extract(line_.begin());
  Commit& commit = next.mapped();
  if (!commit.commit_id) {
    std::erase_if(commit.offsets, [mine](const auto& offset) { return !mine(offset.first); });
  }
  Outgoing outgoing{.number = next.key(), .offsets = commit.offsets};
  under_way_.insert(std::move(next));
  return outgoing;
}

std::optional<int64_t> CommitQueue::OnDone(Number number, bool durable) {
  const auto done = under_way_.extract(number);
  if (!done) return std::nullopt;
  failing_since_ns_.reset();
  if (durable) {
    const auto passed = [&done](const auto& offset) { return done.mapped().offsets.contains(offset.first); };
    for (Commits* commits : {&line_, &under_way_}) {
      for (auto older = commits->begin(); older != commits->lower_bound(number); ++older) {
        std::erase_if(older->second.offsets, passed);
      }
    }
  }
  if (!done.mapped().commit_id) --acks_;
  return done.mapped().commit_id;
}

void CommitQueue::OnFailed(Number number, absl::Status why, int64_t now_ns) {
  auto failed = under_way_.extract(number);
  if (!failed) return;
  line_.insert(std::move(failed));
  came_back_ = true;
  not_before_ns_ = now_ns + Membership::kRetryNs;
  if (!failing_since_ns_) failing_since_ns_ = now_ns;
  failure_ = std::move(why);
}

void CommitQueue::OnResumed() {
  not_before_ns_ = 0;
  failing_since_ns_.reset();
}

std::optional<Offset> CommitQueue::NewestOf(const cluster::GroupPartition& partition) const {
  if (const auto wanted = wanted_.find(partition); wanted != wanted_.end()) {
    return Offset(wanted->second.offset);
  }
  std::optional<Offset> newest;
  Number newest_number = 0;
  for (const Commits* commits : {&line_, &under_way_}) {
    for (const auto& [number, commit] : *commits) {
      const auto found = commit.offsets.find(partition);
      if (found == commit.offsets.end() || number < newest_number) continue;
      newest = Offset(found->second.offset);
      newest_number = number;
    }
  }
  return newest;
}

std::optional<int64_t> CommitQueue::next_ns() const {
  if (!came_back_ || !under_way_.empty()) return std::nullopt;
  return not_before_ns_;
}

}  // namespace naru::services
