#include "cluster/broker/cluster_log_store.h"

#include <utility>

#include "storage/base/status.h"
#include "storage/log/log_state.h"

namespace naru::cluster {
namespace {

// A watch of a log that another broker leads.
constexpr LogStore::WatchId kPeerWatch = uint64_t{1} << 63;

absl::Status NotForServices() {
  return MakeError(Reason::kInternal, "the logs of a cluster are made and changed by its coordinator");
}

}  // namespace

void ClusterLogStore::SetLeaders(const ClusterMetadata& metadata, const MetadataDifference& difference) {
  absl::MutexLock lock(&mutex_);
  const auto set = [&](const TopicInfo& topic) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const TopicId id = ToTopicId(topic);
    for (int32_t i = 0; i < topic.partition_count(); ++i) {
      const auto state = metadata.partitions.find({id, i});
      leaders_[topic.partitions[static_cast<size_t>(i)].log] =
          state == metadata.partitions.end() ? kNoBroker : state->second.leader;
    }
  };
  bool removed = difference.complete;
  for (const std::string& name : difference.topics) removed = removed || !metadata.topics.contains(name);
  if (removed) leaders_.clear();
  if (removed || difference.complete) {
    for (const auto& [name, topic] : metadata.topics) set(*topic);
    return;
  }
  for (const std::string& name : difference.topics) set(*metadata.topics.at(name));
}

absl::StatusOr<BrokerId> ClusterLogStore::LeaderOf(LogId log) const {
  if (peers_ == nullptr) return NoLeader("this broker does not lead the partition");
  absl::ReaderMutexLock lock(&mutex_);
  const auto found = leaders_.find(log);
  if (found == leaders_.end()) return LogNotFound(log);
  if (found->second == kNoBroker) return NoLeader("no replica of the partition that may lead it is there");
  if (found->second == self_) return NoLeader("this broker is about to lead the partition");
  return found->second;
}

void ClusterLogStore::Append(AppendRequest request, AppendDone done) {
  if (request.here_in_epoch || led_.Leads(request.log))
    return led_.Append(std::move(request), std::move(done));
  const auto leader = LeaderOf(request.log);
  if (leader.ok()) return peers_->Append(*leader, std::move(request), std::move(done));
  if (request.fence != nullptr) request.fence->Fail(request.fence_order);
  done(leader.status());
}

// Rule 15: a follower's copy is not read.
void ClusterLogStore::Read(ReadRequest request, ReadDone done) {
  if (request.here_only || led_.Leads(request.log)) return led_.Read(request, std::move(done));
  const auto leader = LeaderOf(request.log);
  if (!leader.ok()) return done(leader.status());
  peers_->Read(*leader, request, std::move(done));
}

void ClusterLogStore::FindByTime(LogId log, int64_t timestamp_ms, TimeDone done) {
  if (led_.Leads(log)) return led_.FindByTime(log, timestamp_ms, std::move(done));
  const auto leader = LeaderOf(log);
  if (!leader.ok()) return done(leader.status());
  peers_->FindByTime(*leader, log, timestamp_ms, std::move(done));
}

LogStore::WatchId ClusterLogStore::Watch(LogId log, Offset offset, absl::AnyInvocable<void()> fire) {
  const auto leader = LeaderOf(log);
  // Of a log that nobody leads it fires at once: who reads then hears of it.
  if (led_.Leads(log) || !leader.ok()) return led_.Watch(log, offset, std::move(fire));
  return kPeerWatch | peers_->Watch(*leader, log, offset, std::move(fire));
}

bool ClusterLogStore::CancelWatch(WatchId watch) {
  if ((watch & kPeerWatch) != 0) return peers_->CancelWatch(watch & ~kPeerWatch);
  return led_.CancelWatch(watch);
}

void ClusterLogStore::MoveLogStart(LogId log, Offset start, Done done) {
  if (led_.Leads(log)) return led_.MoveLogStart(log, start, std::move(done));
  const auto leader = LeaderOf(log);
  if (!leader.ok()) return done(leader.status());
  peers_->MoveLogStart(*leader, log, start, std::move(done));
}

absl::StatusOr<LogInfo> ClusterLogStore::Info(LogId log) const {
  if (led_.Leads(log)) return led_.Info(log);
  const auto leader = LeaderOf(log);
  if (!leader.ok()) return leader.status();
  return NoLeader("another broker leads the partition");
}

void ClusterLogStore::AskInfo(LogId log, InfoDone done) {
  if (led_.Leads(log)) return done(led_.Info(log));
  const auto leader = LeaderOf(log);
  if (!leader.ok()) return done(leader.status());
  peers_->AskInfo(*leader, log, std::move(done));
}

void ClusterLogStore::CreateLogs(std::vector<LogId> logs, Done done) { done(NotForServices()); }
void ClusterLogStore::DeleteLogs(std::vector<LogId> logs, Done done) { done(NotForServices()); }
absl::Status ClusterLogStore::Configure(LogId log, const LogSettings& settings) { return NotForServices(); }
void ClusterLogStore::AppendAsReplica(ReplicaAppendRequest request, AppendDone done) {
  done(NotForServices());
}
void ClusterLogStore::Truncate(LogId log, Offset end, Done done) { done(NotForServices()); }
void ClusterLogStore::Reset(LogId log, Offset start, std::vector<ProducerState> producers, Done done) {
  done(NotForServices());
}
void ClusterLogStore::BeginEpoch(LogId log, LeaderEpoch epoch, Done done) { done(NotForServices()); }

}  // namespace naru::cluster
