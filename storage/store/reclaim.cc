// Giving space back, first half: runs below log starts and of deleted logs leave the index, and segments that
// have none left are removed.
#include <algorithm>
#include <limits>
#include <utility>

#include "storage/base/status.h"
#include "storage/store/maintainer.h"
#include "storage/store/recovery.h"
#include "storage/store/wait_for_op.h"

namespace naru {
namespace {

// Runs given up by one entry, about, and logs in it: the appender looks them up in the index, and takes them
// out, while others wait.
constexpr size_t kRunsAtOnce = 1'000;
constexpr size_t kLogsAtOnce = 1'000;
constexpr Offset kEverything(std::numeric_limits<int64_t>::max());

}  // namespace

absl::Status Maintainer::FlushReclaims() {
  reclaim_runs_ = 0;
  if (reclaims_.empty()) return absl::OkStatus();
  return WaitForOp(parts_.appender, ReclaimOp{std::exchange(reclaims_, {}), nullptr});
}

absl::Status Maintainer::ReclaimLog(LogId id, Offset from, Offset to) {
  for (;;) {
    NARU_ASSIGN_OR_RETURN(auto runs, parts_.index.RunsFrom(id, from, to, kRunsAtOnce));
    const bool all = runs.size() < kRunsAtOnce;
    while (!runs.empty() && runs.back().next > to) runs.pop_back();
    const bool doomed = to == kEverything;
    if (!runs.empty() || (all && doomed)) {
      reclaims_.push_back({id, all && doomed ? kEverything : runs.back().next});
      reclaim_runs_ += runs.size();
    }
    if (reclaim_runs_ >= kRunsAtOnce || reclaims_.size() >= kLogsAtOnce)
      NARU_RETURN_IF_ERROR(FlushReclaims());
    if (all || runs.empty() || Stopping()) return absl::OkStatus();
    from = runs.back().next;
  }
}

absl::Status Maintainer::ReclaimDead() {
  std::vector<std::pair<std::shared_ptr<Log>, Offset>> looked_at;
  for (const auto& log : parts_.logs.All()) {
    Offset from;
    Offset start;
    {
      absl::ReaderMutexLock lock(&log->mutex);
      start = log->state.start();
      if (log->deleted || start <= log->reclaimed_to || start == log->reclaim_checked_start) continue;
      from = log->reclaimed_to;
    }
    NARU_RETURN_IF_ERROR(ReclaimLog(log->id, from, start));
    looked_at.emplace_back(log, start);
  }
  for (const auto& [id, from] : parts_.fold.Doomed()) NARU_RETURN_IF_ERROR(ReclaimLog(id, from, kEverything));
  NARU_RETURN_IF_ERROR(FlushReclaims());
  for (const auto& [log, start] : looked_at) {
    absl::MutexLock lock(&log->mutex);
    if (log->state.start() == start) log->reclaim_checked_start = start;
  }
  return absl::OkStatus();
}

absl::Status Maintainer::RemoveDeadSegments() {
  const std::vector<SegmentId> ids = parts_.segments.Ids();
  std::vector<SegmentId> dead;
  int64_t uncovered_bytes = 0;
  bool covered = false;
  for (const SegmentRow& row : parts_.segment_table.Rows()) {
    if (row.live_bytes > 0 || row.id >= ids.back()) continue;
    dead.push_back(row.id);
    if (row.last_sequence >= parts_.fold.snapshot_sequence()) {
      uncovered_bytes += row.used_bytes;
    } else {
      covered = true;
    }
  }
  // What is in a segment may be needed to rebuild the index, until a snapshot repeats it. A snapshot for the
  // sake of segments that hold little but older snapshots would go on for ever.
  const bool snapshot = uncovered_bytes > 2 * snapshot_bytes_;
  if (!snapshot && !covered) return absl::OkStatus();
  if (snapshot) {
    auto bytes = std::make_shared<int64_t>(0);
    const absl::Status written = WaitForOp(parts_.appender, SnapshotOp{bytes, nullptr});
    // Where there is no room for one, what needs none may make some.
    if (!written.ok() && !(covered && ReasonOf(written) == Reason::kStorageFull)) return written;
    if (written.ok()) snapshot_bytes_ = *bytes;
  }
  auto removed = std::make_shared<std::vector<SegmentId>>();
  NARU_RETURN_IF_ERROR(WaitForOp(parts_.appender, RemoveOp{std::move(dead), removed, nullptr}));
  if (removed->empty()) return absl::OkStatus();
  // The index must not be found without knowing that they went.
  NARU_RETURN_IF_ERROR(Checkpoint());
  for (const SegmentId id : *removed) {
    NARU_RETURN_IF_ERROR(parts_.segments.Remove(id));
    Count(parts_.counters.segments_removed);
    parts_.events.Write(Severity::kInfo, "segment_removed", {{"segment", id.value()}});
  }
  NARU_RETURN_IF_ERROR(parts_.files.SyncDirectory(SegmentsDirectory(parts_.options.directory)));
  // Who waits for room does not mind a slow sync.
  if (parts_.counters.storage_full.load(std::memory_order_relaxed)) {
    while (parts_.segments.GiveBackSome(std::numeric_limits<uint64_t>::max())) {
    }
  }
  return absl::OkStatus();
}

}  // namespace naru
