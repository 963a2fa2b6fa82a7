// What must hold inside the cluster, seen from above, after every step.
#include <algorithm>
#include <utility>

#include "storage/base/check.h"
#include "storage/base/strings.h"
#include "tests/sim/partition_name.h"
#include "tests/sim/world.h"

namespace naru::sim {

using namespace cluster;  // NOLINT(google-build-using-namespace): all of it is about these

void World::Touched(Broker& broker, const TopicPartition& partition) {
  touched_.insert({broker.id(), partition});
}

std::vector<World::CommittedBatch> World::Below(Broker& broker, const TopicPartition& partition, Offset from,
                                                Offset end) {
  std::vector<CommittedBatch> found;
  const LogId log = logs_.at(partition);
  Offset at = std::max(from, InfoOf(broker, partition).log_start);
  while (at < end) {
    ReadRequest read{.log = log, .from = at, .end = end, .bytes_max = 1 << 20, .include_undurable = true};
    size_t before = found.size();
    broker.store().Read(read, [&](absl::StatusOr<ReadResult> result) {
      if (!result.ok()) return;
      for (const StoredBatchView& batch : result->batches) {
        if (batch.next_offset > end) return;
        found.push_back({batch.base_offset, batch.next_offset, batch.crc32c});
        at = batch.next_offset;
      }
    });
    if (found.size() == before) break;
  }
  return found;
}

void World::CheckReplica(Broker& broker, const TopicPartition& partition) {
  const Replica* replica = broker.replica(partition);
  if (replica == nullptr || !partitions_.contains(partition)) return;
  const PartitionState& stored = store_->stored().partitions.at(partition);
  const PartitionLeader* leader = replica->leader();
  if (replica->follower() != nullptr) {
    const LogInfo info = InfoOf(broker, partition);
    if (replica->high_watermark() > info.durable_end) {
      Fail(absl::StrCat("partition ", Name(partition), ": broker ", broker.id().value(),
                        " follows, has its log up to ", info.durable_end.value(),
                        " on its disk, and takes everything below ", replica->high_watermark().value(),
                        " for committed and here"));
    }
  }
  if (leader == nullptr) return;
  // Of a leader that is deposed and does not know it, the old state speaks.
  if (stored.leader_epoch == replica->leader_epoch() && stored.leader == broker.id()) {
    const std::set<BrokerId> maximal = leader->MaximalIsr();
    if (!std::includes(maximal.begin(), maximal.end(), stored.isr.begin(), stored.isr.end())) {
      Fail(absl::StrCat("partition ", Name(partition), ": the coordinator has ", ToText(stored),
                        ", and its leader does not wait for all of them"));
    }
    for (const BrokerId member : maximal) {
      if (suspects_.contains({member, partition})) continue;
      const LogInfo info = InfoOf(this->broker(member), partition);
      if (info.durable_end >= replica->high_watermark()) continue;
      Fail(absl::StrCat("partition ", Name(partition), ": the high watermark is ",
                        replica->high_watermark().value(), " at broker ", broker.id().value(),
                        ", and broker ", member.value(), ", whom it waits for, has ",
                        info.durable_end.value(), " on its disk"));
    }
  }
  CheckCommitted(broker, partition);
}

Offset World::CommittedEnd(const TopicPartition& partition) {
  if (policies_[partition].compacted) return committed_values_[partition].end;
  const std::vector<CommittedBatch>& committed = committed_[partition];
  return committed.empty() ? Offset(0) : committed.back().next;
}

void World::CheckCommitted(Broker& leader, const TopicPartition& partition) {
  if (policies_[partition].compacted) return CheckCompactedLeader(leader, partition);
  std::vector<CommittedBatch>& committed = committed_[partition];
  const Offset known = CommittedEnd(partition);
  const Offset high_watermark = leader.replica(partition)->high_watermark();
  const PartitionState& stored = store_->stored().partitions.at(partition);
  // Who has become leader anew has everything that anyone was told of.
  const Offset end = leader.replica(partition)->leader_epoch() == stored.leader_epoch
                         ? std::max(high_watermark, known)
                         : high_watermark;
  const Offset start = InfoOf(leader, partition).log_start;
  // What is damaged may lead on and commit; the rest is looked at when it is whole.
  const bool damaged = damaged_.contains({leader.id(), partition});
  // A leader's log only grows: what was looked at before needs no other look, in this epoch of this process.
  Verified& verified = verified_[{leader.id(), partition}];
  const Verified now{network_.host(leader.host()).life(), leader.replica(partition)->leader_epoch(), start};
  if (verified.life != now.life || verified.leader_epoch != now.leader_epoch) verified = now;
  const Offset from = std::max(start, damaged ? known : verified.end);
  const std::vector<CommittedBatch> here = Below(leader, partition, from, end);
  const Offset reached = here.empty() ? from : here.back().next;
  if (suspects_.contains({leader.id(), partition}) && reached < end) {
    // Its log was emptied behind its back; it leads only until somebody notices.
    if (leader.replica(partition)->leader_epoch() != stored.leader_epoch) return;
  }
  if (!damaged && reached < end) {
    return Fail(absl::StrCat("partition ", Name(partition), ": broker ", leader.id().value(),
                             " leads in epoch ", leader.replica(partition)->leader_epoch().value(),
                             " and has its log up to ", reached.value(), "; committed is up to ",
                             end.value()));
  }
  if (!damaged) verified.end = std::max(verified.end, reached);
  auto old = std::partition_point(committed.begin(), committed.end(),
                                  [from](const CommittedBatch& batch) { return batch.next <= from; });
  for (const CommittedBatch& batch : here) {
    while (old != committed.end() && old->base < batch.base) ++old;
    if (old == committed.end()) {
      if (!committed.empty() && batch.base < committed.back().next) break;
      committed.push_back(batch);
      old = committed.end();
      continue;
    }
    if (old->base == batch.base && old->next == batch.next && old->crc32c == batch.crc32c) continue;
    return Fail(absl::StrCat("partition ", Name(partition), ": what was committed at ", batch.base.value(),
                             " is another batch at broker ", leader.id().value()));
  }
}

// A copy on a disk that was replaced counts again from when it is taken into the ISR: the process on the new
// disk had its broker epoch only after what the one before it had claimed was void.
void World::ClearSuspects() {
  const ClusterMetadata& stored = store_->stored();
  std::erase_if(suspects_, [&](const auto& suspect) {
    const auto& [id, partition] = suspect;
    const auto state = stored.partitions.find(partition);
    if (state == stored.partitions.end()) return true;
    return state->second.isr.contains(id) && broker(id).replica(partition) != nullptr &&
           stored.brokers.at(id).epoch == broker(id).epoch();
  });
}

bool World::IsDamaged(Broker& broker, const TopicPartition& partition) const {
  const LogInfo info = InfoOf(broker, partition);
  for (Offset at = info.log_start; at < info.end;) {
    // What is read before a damaged batch comes without an error.
    bool whole = false;
    const ReadRequest read{
        .log = logs_.at(partition), .from = at, .bytes_max = 1 << 20, .include_undurable = true};
    broker.store().Read(read, [&](const absl::StatusOr<ReadResult>& result) {
      whole = result.ok() && result->next_offset > at;
      if (whole) at = result->next_offset;
    });
    if (!whole) return true;
  }
  return false;
}

void World::ClearDamaged() {
  std::erase_if(damaged_, [&](const auto& damaged) {
    const auto& [id, partition] = damaged;
    // What has replaced it is to be on the disk.
    const bool settled = broker(id).store().waiting_changes() == 0;
    return !partitions_.contains(partition) || (settled && !IsDamaged(broker(id), partition));
  });
}

std::vector<BrokerId> World::HoldersUpTo(const TopicPartition& partition, Offset end) {
  const PartitionState& stored = store_->stored().partitions.at(partition);
  std::set<BrokerId> holders = stored.isr;
  holders.insert(stored.elr.begin(), stored.elr.end());
  std::vector<BrokerId> found;
  for (const BrokerId holder : holders) {
    if (suspects_.contains({holder, partition})) continue;
    const Offset durable = InfoOf(broker(holder), partition).durable_end;
    if (durable >= end) {
      found.push_back(holder);
      continue;
    }
    Fail(absl::StrCat("partition ", Name(partition), ": ", ToText(stored), ", and broker ", holder.value(),
                      " has its log up to ", durable.value(), "; committed is up to ", end.value()));
  }
  return found;
}

void World::CheckHolders(const TopicPartition& partition) {
  if (policies_[partition].compacted) return CheckCompactedHolders(partition);
  const PartitionState& stored = store_->stored().partitions.at(partition);
  const std::vector<CommittedBatch>& committed = committed_[partition];
  const Offset end = CommittedEnd(partition);
  for (const BrokerId holder : HoldersUpTo(partition, end)) {
    if (damaged_.contains({holder, partition})) continue;
    const std::vector<CommittedBatch> here =
        Below(broker(holder), partition, InfoOf(broker(holder), partition).log_start, end);
    auto old = committed.begin();
    for (const CommittedBatch& batch : here) {
      while (old != committed.end() && old->base < batch.base) ++old;
      if (old != committed.end() && old->base == batch.base && old->crc32c == batch.crc32c) continue;
      Fail(absl::StrCat(
          "partition ", Name(partition), ": ", ToText(stored), ", and broker ", holder.value(),
          " has other records at ", batch.base.value(), " to ", batch.next.value(), " than were committed",
          old == committed.end() ? "" : absl::StrCat(" at ", old->base.value(), " to ", old->next.value())));
      break;
    }
  }
}

void World::CheckGrace(const TopicPartition& partition, const PartitionState& before) {
  const PartitionState& now = store_->stored().partitions.at(partition);
  if (now == before) return;
  loop_.Note(absl::StrCat("partition ", Name(partition), " has ", ToText(now)));
  if (now.leader_epoch != before.leader_epoch) {
    elected_us_[partition] = loop_.now_us();
    return;
  }
  for (const BrokerId member : before.isr) {
    if (now.isr.contains(member) || store_->stored().brokers.at(member).fenced) continue;
    if (loop_.now_us() - elected_us_[partition] >= kReplication.lag_ms_max * kMs) continue;
    // For a leader whose clock has jumped that was long enough.
    if (broker(now.leader).jumped_us() >= elected_us_[partition]) continue;
    Fail(absl::StrCat("partition ", Name(partition), ": broker ", member.value(), " is out of sync already ",
                      (loop_.now_us() - elected_us_[partition]) / kMs,
                      " ms after the election: ", ToText(now)));
  }
}

std::string World::Unsettled() {
  if (DeleteStillborn()) return "a topic is to be deleted";
  for (const auto& producer : producers_) {
    if (std::string waiting = producer->Waiting(); !waiting.empty()) return waiting;
  }
  for (const auto& member : members_) {
    if (std::string unsettled = member->Unsettled(); !unsettled.empty()) return unsettled;
  }
  if (const size_t read = group_history_.read_partitions(); read != kGroupPartitions) {
    return absl::StrCat("G5: ", read, " of ", kGroupPartitions, " partitions of the group are read");
  }
  if (const int64_t lag = group_history_.Lag(group_ends_); lag > 0)
    return absl::StrCat("G5: the group lags by ", lag);
  std::set<LogId> wanted;
  for (const TopicPartition& partition : partitions_) {
    wanted.insert(logs_.at(partition));
    if (std::string unsettled = UnsettledPartition(partition); !unsettled.empty()) return unsettled;
  }
  for (const auto& broker : brokers_) {
    for (const LogId log : broker->store().Logs()) {
      if (wanted.contains(log)) continue;
      return absl::StrCat("broker ", broker->id().value(), " has log ", log.value(),
                          " of a topic that is gone");
    }
  }
  return "";
}

std::string World::UnsettledPartition(const TopicPartition& partition) {
  const PartitionState& stored = store_->stored().partitions.at(partition);
  const Broker& at = *brokers_[static_cast<size_t>(stored.replicas.front().value()) - 1];
  const Replica* preferred = at.replica(partition);
  const bool leads = preferred != nullptr && preferred->leader() != nullptr && stored.leader == at.id();
  bool settled = leads && stored.isr.size() == stored.replicas.size();
  std::string logs;
  for (const BrokerId member : stored.replicas) {
    const LogInfo info = InfoOf(*brokers_[static_cast<size_t>(member.value()) - 1], partition);
    settled = settled && info.end == preferred->high_watermark() && info.durable_end == info.end;
    absl::StrAppend(&logs, "; broker ", member.value(), " has ", info.log_start.value(), " to ",
                    info.end.value(), ", up to ", info.durable_end.value(), " on disk");
  }
  if (settled) {
    if (!damaged_.contains({at.id(), partition})) return "";
    // Whoever leads gives everything; damage that nobody reads nobody finds.
    ReadAll(partition);
    return absl::StrCat("partition ", Name(partition), " is led by broker ", at.id().value(),
                        ", whose copy is damaged");
  }
  return absl::StrCat(
      "partition ", Name(partition), " has ", ToText(stored), logs, "; the preferred leader ",
      leads ? absl::StrCat("has high watermark ", preferred->high_watermark().value()) : "does not lead");
}

PollResult World::ReadAll(const TopicPartition& partition) {
  Broker& leader = broker(store_->stored().partitions.at(partition).leader);
  PollResult all;
  leader.OnPoll(partition, Offset(0), [&](const PollResult& result) { all = result; });
  Offset at = all.log_start;
  all.batches.clear();
  while (at < all.high_watermark && !all.damaged) {
    PollResult more;
    leader.OnPoll(partition, at, [&](const PollResult& result) { more = result; });
    all.damaged = more.damaged;
    NARU_CHECK(more.damaged || more.next_offset > at);
    all.batches.insert(all.batches.end(), more.batches.begin(), more.batches.end());
    at = more.next_offset;
  }
  return all;
}

void World::Drain() {
  for (const TopicPartition& partition : served_) {
    const PollResult all = ReadAll(partition);
    if (all.damaged) Fail(absl::StrCat("partition ", Name(partition), " cannot be read to its end"));
    checker_.OnDrained(partition, all);
  }
}

}  // namespace naru::sim
