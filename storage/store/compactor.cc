#include "storage/store/compactor.h"

#include <algorithm>
#include <limits>
#include <random>
#include <utility>

#include "storage/base/status.h"
#include "storage/store/wait_for_op.h"

namespace naru {
namespace {

// Entry bytes in one rewritten run, and in one entry that brings such: the appender writes it while others
// wait.
constexpr int64_t kPackBytesMax = int64_t{1} << 20;
// Parts of one entry: the appender looks their runs up.
constexpr size_t kPartsMax = 256;
constexpr size_t kOldRunsMax = 1'024;
// Read in one go: then other duties have their turn, and the store may be stopped.
constexpr int64_t kStepBytes = int64_t{8} << 20;
// What an entry that brings one run says around its batches, at most.
constexpr uint64_t kTableBytesMax = 1'024;
// A log with little that is dirty is compacted this often; one that could not be is tried again.
constexpr int64_t kSmallLogPauseMs = 60'000;
// Where records are too young, their age is looked at again after a part of what it must be.
constexpr int64_t kLooksPerLag = 16;
constexpr int64_t kLagPauseMsMax = 60'000;

// How dirty the log is; nothing where it is not to be compacted.
struct Dirt {
  double ratio = 0;
  bool due = false;
};
std::optional<Dirt> DirtOf(const Log& log, int64_t now_ms, int64_t dirty_bytes_min)
    ABSL_SHARED_LOCKS_REQUIRED(log.mutex) {
  const LogSettings& settings = log.settings;
  if (log.deleted || !settings.compact) return std::nullopt;
  const CompactionState& state = log.compaction;
  const int64_t dirty = log.bytes_end - std::max(state.clean_bytes, log.bytes_start);
  const int64_t total = log.size_bytes();
  Dirt dirt;
  dirt.ratio = total > 0 ? std::min(static_cast<double>(dirty) / static_cast<double>(total), 1.0) : 0;
  const bool enough = dirty >= dirty_bytes_min || now_ms - state.last_pass_ms >= kSmallLogPauseMs;
  const bool tombstones = state.tombstones > 0 &&
                          state.TombstonesDueBelow(now_ms, settings.delete_retention_ms) > log.state.start();
  dirt.due = now_ms >= log.compaction_due_ms &&
             ((dirty > 0 && dirt.ratio >= settings.min_cleanable_dirty_ratio && enough) || tombstones);
  return dirt;
}

HashSecret NewSecret() {
  std::random_device random;
  const auto word = [&] { return uint64_t{random()} << 32 | random(); };
  return {word(), word()};
}

}  // namespace

bool Compactor::LookAround() {
  const int64_t now_ms = parts_.clock.NowMs();
  candidates_.clear();
  int64_t logs = 0;
  int64_t due = 0;
  double ratio_max = 0;
  for (const auto& log : parts_.logs.All()) {
    absl::ReaderMutexLock lock(&log->mutex);
    const auto dirt = DirtOf(*log, now_ms, parts_.options.compaction_dirty_bytes_min);
    if (!dirt) continue;
    ++logs;
    ratio_max = std::max(ratio_max, dirt->ratio);
    // One that is being compacted waits for the next round: what its pass has planned is not in the index
    // yet, and two plans must not name the same runs.
    if (dirt->due) ++due;
    const bool under_way = pass_ && pass_->plan().log == log;
    if (dirt->due && !under_way) candidates_.push_back({log, dirt->ratio, log->durable_end});
  }
  std::stable_sort(candidates_.begin(), candidates_.end(),
                   [](const Candidate& a, const Candidate& b) { return a.dirty_ratio < b.dirty_ratio; });
  StoreCounters& counters = parts_.counters;
  counters.compaction_logs.store(logs, std::memory_order_relaxed);
  counters.compaction_due_logs.store(due, std::memory_order_relaxed);
  counters.compaction_dirty_ratio_max.store(ratio_max, std::memory_order_relaxed);
  return pass_ || !candidates_.empty();
}

absl::Status Compactor::Run() {
  if (!pass_ && candidates_.empty()) return absl::OkStatus();
  const StoreOptions& options = parts_.options;
  const double share = static_cast<double>(options.compaction_bytes_per_second) *
                       (static_cast<double>(options.maintenance_interval_ms) / 1'000);
  auto budget = static_cast<int64_t>(std::min(share, 1e18));
  parts_.syncer.Drain();  // so that the index has what was written
  absl::Status status;
  DropUnwanted();
  while (status.ok() && budget > 0 && !parts_.stopping() && (pass_ || !candidates_.empty())) {
    int64_t step = std::min(budget, kStepBytes);
    budget -= step;
    status = RunPass(step);
    budget += step;
    if (status.ok()) status = parts_.keep_up();
  }
  if (status.ok()) status = Flush();
  if (status.ok()) {
    parts_.syncer.Drain();  // so that readers find what was rewritten
    if (pass_late_) Fail(absl::AbortedError("the log changed"));
    return status;
  }
  // The store is full, it stops or it broke: what was planned is planned anew.
  op_ = RewriteOp();
  op_old_bytes_ = 0;
  op_old_runs_ = 0;
  finished_.clear();
  pass_.reset();
  pass_late_ = false;
  return absl::IsUnavailable(status) ? absl::OkStatus() : status;
}

void Compactor::DropUnwanted() {
  if (!pass_) return;
  bool wanted;
  {
    absl::ReaderMutexLock lock(&pass_->plan().log->mutex);
    wanted = pass_->plan().log->settings.compact && !pass_->plan().log->deleted;
  }
  if (!wanted) pass_.reset();
}

absl::Status Compactor::RunPass(int64_t& budget) {
  if (!pass_) {
    const Candidate candidate = std::move(candidates_.back());
    candidates_.pop_back();
    auto planned = Plan(candidate);
    if (planned.ok() && !planned->has_value()) return absl::OkStatus();
    if (!planned.ok()) {
      // Changed meanwhile, or damaged, which who reads it is told.
      absl::MutexLock lock(&candidate.log->mutex);
      candidate.log->compaction_due_ms = parts_.clock.NowMs() + kSmallLogPauseMs;
      return absl::OkStatus();
    }
    pass_.emplace(**std::move(planned));
  }
  absl::Status taken;
  const int64_t read_before = pass_->read_bytes();
  const absl::StatusOr<bool> through = pass_->Step(budget, [&](RunPack& pack) { return taken = Add(pack); });
  Count(parts_.counters.compaction_read_bytes, pass_->read_bytes() - read_before);
  if (!taken.ok() && !pass_late_) return taken;
  if (!through.ok()) {
    Fail(through.status());
    return absl::OkStatus();
  }
  return *through ? FinishPass() : absl::OkStatus();
}

absl::StatusOr<Offset> Compactor::BoundOf(const Log& log, Offset durable_end, int64_t min_lag_ms) const {
  Offset bound = durable_end;
  if (parts_.options.committed_end) bound = std::min(bound, parts_.options.committed_end(log.id));
  if (min_lag_ms <= 0) return bound;
  return parts_.cuts.FindRetentionStart(log, parts_.clock.NowMs() - min_lag_ms + 1, /*bytes_max=*/-1, bound);
}

absl::StatusOr<std::optional<CompactionPass>> Compactor::Plan(const Candidate& candidate) {
  CompactionPlan plan;
  plan.log = candidate.log;
  plan.began_ms = parts_.clock.NowMs();
  plan.began_ns = parts_.clock.MonotonicNs();
  LogSettings settings;
  Offset durable_end;
  int64_t bytes_start = 0;
  int64_t size_bytes = 0;
  int64_t bytes_end = 0;
  {
    absl::ReaderMutexLock lock(&plan.log->mutex);
    plan.truncations = plan.log->truncations;
    plan.start = plan.log->state.start();
    plan.before = plan.log->compaction;
    settings = plan.log->settings;
    durable_end = std::min(plan.log->durable_end, candidate.durable_end);
    bytes_start = plan.log->bytes_start;
    bytes_end = plan.log->bytes_end;
    size_bytes = plan.log->size_bytes();
  }
  NARU_ASSIGN_OR_RETURN(plan.bound, BoundOf(*plan.log, durable_end, settings.min_compaction_lag_ms));
  // Never back: what is clean was below a bound once.
  plan.bound = std::max({plan.bound, plan.before.clean_to, plan.start});
  plan.tombstones_due_below =
      plan.before.tombstones > 0 ? plan.before.TombstonesDueBelow(plan.began_ms, settings.delete_retention_ms)
                                 : Offset(0);
  const Offset clean_to = std::max(plan.before.clean_to, plan.start);
  bool worthwhile = plan.bound > clean_to;
  if (worthwhile && plan.bound < durable_end) {
    // What lies above the bound cannot be cleaned, and makes nothing due.
    NARU_ASSIGN_OR_RETURN(const int64_t bytes_to, parts_.cuts.BytesBefore(plan.log->id, plan.bound));
    const int64_t dirty = bytes_to - std::max(plan.before.clean_bytes, bytes_start);
    const int64_t total = std::max<int64_t>(size_bytes - (bytes_end - bytes_to), 1);
    worthwhile =
        static_cast<double>(dirty) >= settings.min_cleanable_dirty_ratio * static_cast<double>(total);
  }
  if (!worthwhile && plan.tombstones_due_below <= plan.start) {
    const int64_t pause_ms = std::min(settings.min_compaction_lag_ms / kLooksPerLag, kLagPauseMsMax);
    absl::MutexLock lock(&plan.log->mutex);
    plan.log->compaction_due_ms = plan.began_ms + pause_ms;
    return std::nullopt;
  }
  if (!worthwhile) plan.bound = clean_to;
  KeyMap keys(parts_.options.compaction_memory_bytes, plan.bound - clean_to, NewSecret());
  return std::optional<CompactionPass>(
      std::in_place, std::move(plan),
      CompactionPass::Parts{parts_.index, parts_.reader, parts_.segment_writer.salt(), OpBytesMax(),
                            RunBytesMax()},
      std::move(keys));
}

RewriteOp::Part& Compactor::PartOfPass() {
  const CompactionPlan& plan = pass_->plan();
  if (op_.parts.empty() || op_.parts.back().log != plan.log) {
    op_.parts.push_back({plan.log, plan.truncations, {}, std::nullopt});
  }
  return op_.parts.back();
}

int64_t Compactor::OpBytesMax() const {
  return std::min(kPackBytesMax, static_cast<int64_t>(parts_.segment_writer.capacity() / 2));
}

int64_t Compactor::RunBytesMax() const {
  return static_cast<int64_t>(parts_.segment_writer.capacity() - EntryBytesMax(kTableBytesMax));
}

absl::Status Compactor::Add(RunPack& pack) {
  if (static_cast<int64_t>(op_.entries.size()) + pack.entry_bytes() > OpBytesMax() ||
      op_old_runs_ + pack.runs() > kOldRunsMax) {
    NARU_RETURN_IF_ERROR(Flush());
    // Its map speaks of what is not there any more.
    if (pass_late_) return absl::AbortedError("the log changed since its compaction began");
  }
  op_old_bytes_ += pack.old_bytes();
  op_old_runs_ += pack.runs();
  MovedRun moved = pack.Take(op_.entries);
  PartOfPass().runs.push_back(std::move(moved));
  return absl::OkStatus();
}

absl::Status Compactor::FinishPass() {
  const CompactionPlan& plan = pass_->plan();
  LogSettings settings;
  Offset start;
  int64_t bytes = 0;
  {
    absl::ReaderMutexLock lock(&plan.log->mutex);
    settings = plan.log->settings;
    start = plan.log->state.start();
    bytes = std::max(plan.before.clean_bytes, plan.log->bytes_start);
  }
  const Offset end = pass_->end();
  if (end > plan.before.clean_to && end > start) {
    const auto before = parts_.cuts.BytesBefore(plan.log->id, end);
    if (!before.ok()) {
      Fail(before.status());
      return absl::OkStatus();
    }
    bytes = *before;
  }
  CompactionState state = plan.before;
  state.EndPass(end, bytes, pass_->choice().tombstones_left(), parts_.clock.NowMs(),
                settings.delete_retention_ms, plan.tombstones_due_below);
  PartOfPass().compacted = std::move(state);
  finished_.push_back({plan.log->id, pass_->cut_by_memory(), plan.began_ns});
  Count(parts_.counters.compaction_records_left_out, pass_->choice().records_left_out());
  Count(parts_.counters.compaction_tombstones_left_out, pass_->choice().tombstones_left_out());
  pass_.reset();
  // A run that takes a segment for itself leaves no room for the states of others.
  const bool large = static_cast<int64_t>(op_.entries.size()) > OpBytesMax();
  return op_.parts.size() >= kPartsMax || large ? Flush() : absl::OkStatus();
}

absl::Status Compactor::Flush() {
  if (op_.parts.empty()) return absl::OkStatus();
  auto late = std::make_shared<std::vector<LogId>>();
  const auto bytes = static_cast<int64_t>(op_.entries.size());
  op_.late = late;
  op_old_runs_ = 0;
  NARU_RETURN_IF_ERROR(WaitForOp(parts_.appender, std::exchange(op_, RewriteOp())));
  const auto is_late = [&](LogId id) { return std::find(late->begin(), late->end(), id) != late->end(); };
  Count(parts_.counters.compaction_written_bytes, bytes);
  // Where little goes, what says so may take more; a counter does not fall.
  Count(parts_.counters.compaction_given_back_bytes,
        std::max<int64_t>(std::exchange(op_old_bytes_, 0) - bytes, 0));
  for (const Finished& finished : std::exchange(finished_, {})) {
    if (is_late(finished.log)) continue;
    Count(parts_.counters.compaction_passes);
    if (finished.cut_by_memory) Count(parts_.counters.compaction_passes_cut);
    parts_.counters.compaction_last_pass_ms.store(parts_.clock.NowMs(), std::memory_order_relaxed);
    parts_.counters.compaction_last_duration_ms.store(
        (parts_.clock.MonotonicNs() - finished.began_ns) / 1'000'000, std::memory_order_relaxed);
  }
  pass_late_ = pass_late_ || (pass_ && is_late(pass_->plan().log->id));
  return parts_.keep_up();
}

void Compactor::Fail(const absl::Status& why) {
  const std::shared_ptr<Log> log = pass_->plan().log;
  // What was collected for the entry stands for itself; only the state must not follow.
  pass_.reset();
  pass_late_ = false;
  if (absl::IsAborted(why)) return;
  Count(parts_.counters.compaction_passes_failed);
  parts_.events.Write(Severity::kError, "compaction_failed",
                      {{"log", log->id.value()}, {"error", why.ToString()}});
  // It would come to the same until something changes; but a disk that could not be read may be again.
  const bool lasting = absl::IsDataLoss(why) || absl::IsInvalidArgument(why);
  absl::MutexLock lock(&log->mutex);
  log->compaction_due_ms =
      lasting ? std::numeric_limits<int64_t>::max() : parts_.clock.NowMs() + kSmallLogPauseMs;
}

}  // namespace naru
