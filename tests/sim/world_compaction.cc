// What must hold of partitions whose replicas drop records that newer ones with the same key have replaced,
// each replica for itself: all have the same values at the same offsets, but for those that may be gone
// (L11).
#include <algorithm>
#include <map>
#include <vector>

#include "storage/base/strings.h"
#include "tests/sim/partition_name.h"
#include "tests/sim/world.h"

namespace naru::sim {

using namespace cluster;  // NOLINT(google-build-using-namespace): all of it is about these

void World::CheckCompactedLeader(Broker& leader, const TopicPartition& partition) {
  const PartitionState& stored = store_->stored().partitions.at(partition);
  const Replica& replica = *leader.replica(partition);
  const Offset known = committed_values_[partition].end;
  const bool newest = replica.leader_epoch() == stored.leader_epoch;
  const Offset end = newest ? std::max(replica.high_watermark(), known) : replica.high_watermark();
  const LogInfo info = InfoOf(leader, partition);
  if (info.end < end) {
    // Its log was emptied behind its back; it leads only until somebody notices.
    if (suspects_.contains({leader.id(), partition}) && !newest) return;
    return Fail(absl::StrCat("partition ", Name(partition), ": broker ", leader.id().value(),
                             " leads in epoch ", replica.leader_epoch().value(), " and has its log up to ",
                             info.end.value(), "; committed is up to ", end.value()));
  }
  CheckCompacted(leader, partition, end, true);
}

void World::CheckCompactedHolders(const TopicPartition& partition) {
  const Offset end = committed_values_[partition].end;
  for (const BrokerId holder : HoldersUpTo(partition, end)) {
    CheckCompacted(broker(holder), partition, end, false);
  }
}

void World::CheckCompacted(Broker& holder, const TopicPartition& partition, Offset end, bool leads) {
  CommittedValues& committed = committed_values_[partition];
  const bool damaged = damaged_.contains({holder.id(), partition});
  Offset start = InfoOf(holder, partition).log_start;
  // It may lead on and commit; the rest is looked at when it is whole.
  if (damaged) start = std::max(start, committed.end);
  if (start >= end) return;
  std::map<Offset, int64_t> here;
  holder.store().Read({.log = logs_.at(partition),
                       .from = start,
                       .end = end,
                       .bytes_max = 1 << 20,
                       .include_undurable = true},
                      [&](const absl::StatusOr<ReadResult>& read) {
                        if (!read.ok()) return;
                        for (const StoredBatchView& batch : read->batches) {
                          Offset offset = batch.base_offset;
                          for (const int64_t value : ValuesOf(batch.bytes)) {
                            if (value != kGone && offset >= start && offset < end) here[offset] = value;
                            offset += 1;
                          }
                        }
                      });
  for (const auto& [offset, value] : here) {
    const auto known = committed.values.find(offset);
    if (known == committed.values.end()) {
      if (!leads || offset < committed.end) continue;
      committed.values[offset] = value;
      committed.newest[KeyOf(value)] = offset;
    } else if (known->second != value) {
      return Fail(absl::StrCat("partition ", Name(partition), ": ", known->second, " was committed at ",
                               offset.value(), ", and broker ", holder.id().value(), " has ", value));
    }
  }
  if (leads) committed.end = std::max(committed.end, end);
  if (damaged) return;
  for (auto known = committed.values.lower_bound(start); known != committed.values.end(); ++known) {
    const auto& [offset, value] = *known;
    if (offset >= end) break;
    if (here.contains(offset) || committed.newest.at(KeyOf(value)) > offset) continue;
    return Fail(absl::StrCat("L11: partition ", Name(partition), ": ", value, " at ", offset.value(),
                             " is the newest that was committed of its key, and broker ", holder.id().value(),
                             " has dropped it"));
  }
}

}  // namespace naru::sim
