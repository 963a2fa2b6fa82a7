// What stores do with logs by themselves, each replica for itself: retention and compaction.
#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "storage/base/strings.h"
#include "tests/sim/broker.h"
#include "tests/sim/broker_log.h"

namespace naru::sim {

using namespace cluster;  // NOLINT(google-build-using-namespace): all of it is about these

void Broker::KeepUp(const TopicPartition& partition, Part& part) {
  if (!at_.random.Chance(0.3)) return;
  Retain(partition, part);
  if (at_.policy(partition).compacted) Compact(partition, part);
}

void Broker::Retain(const TopicPartition& partition, Part& part) {
  const std::optional<int64_t> keeps = at_.policy(partition).keeps;
  if (!keeps) return;
  const LogPositions at = part.view->Positions();
  Offset below(at.end.value() - *keeps);
  if (at_.rules.driver.retain_committed_only) below = std::min(below, part.replica->high_watermark());
  if (below <= at.start) return;
  at_.retained(partition, below);
  MoveStart(partition, part, below);
  Sync();
}

void Broker::Compact(const TopicPartition& partition, Part& part) {
  const LogPositions at = part.view->Positions();
  const Offset committed = part.replica->high_watermark();
  const Offset bound =
      at_.rules.driver.compact_committed_only ? std::min(committed, at.durable_end) : at.durable_end;
  std::vector<StoredBatchView> batches;
  bool whole = true;
  for (Offset from = at.start; from < bound && whole;) {
    // What is read before a damaged batch comes without an error.
    store_->Read({.log = part.log, .from = from, .end = bound, .bytes_max = 1 << 20},
                 [&](const absl::StatusOr<ReadResult>& read) {
                   whole = read.ok() && read->next_offset > from;
                   if (!read.ok()) return OnDamaged(partition, read.status());
                   batches.insert(batches.end(), read->batches.begin(), read->batches.end());
                   from = read->next_offset;
                 });
  }
  if (part.replica->damaged()) return;
  std::map<int64_t, int64_t> newest;  // of each key, the value
  for (const StoredBatchView& batch : batches) {
    for (const int64_t value : ValuesOf(batch.bytes)) {
      if (value != kGone) newest[KeyOf(value)] = value;
    }
  }
  for (const StoredBatchView& batch : batches) {
    // The log's last batch stays whatever is in it.
    BatchText text = Parsed(batch.bytes);
    if (batch.next_offset == at.end) continue;
    std::vector<uint32_t> left;
    for (size_t i = 0; i < text.values.size(); ++i) {
      int64_t& value = text.values[i];
      if (value != kGone && newest[KeyOf(value)] != value) value = kGone;
      if (value != kGone) left.push_back(static_cast<uint32_t>(i));
    }
    if (left.size() == batch.record_count) continue;
    store_->Thin(part.log, batch.base_offset, left, absl::Cord(left.empty() ? "" : text.ToText()));
  }
}

}  // namespace naru::sim
