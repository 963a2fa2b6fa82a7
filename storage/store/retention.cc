// Retention: the maintainer moves log starts by age and by size, whole batches at a time.
#include <algorithm>
#include <limits>
#include <utility>

#include "absl/synchronization/blocking_counter.h"
#include "storage/base/status.h"
#include "storage/store/maintainer.h"

namespace naru {
namespace {

// Log starts moved with one entry.
constexpr size_t kMovesAtOnce = 512;
// Logs looked at between other duties.
constexpr size_t kLogsBetween = 64;
// A log's start moves at most this often within its retention time; and moves are never put off for longer
// than the pause.
constexpr int64_t kMovesPerRetention = 200;
constexpr int64_t kPauseMsMax = 10'000;

}  // namespace

bool Maintainer::RetentionDue(const Log& log, int64_t now_ms) const {
  if (log.deleted || log.state.start() >= log.durable_end) return false;
  const LogSettings& settings = log.settings;
  if (settings.retention_bytes >= 0 && log.size_bytes() > settings.retention_bytes) return true;
  return settings.retention_ms >= 0 && now_ms >= log.retention_due_ms;
}

std::vector<Maintainer::DueLog> Maintainer::FindDue(int64_t now_ms) const {
  std::vector<DueLog> due;
  int64_t producers = 0;
  for (const auto& log : parts_.logs.All()) {
    absl::ReaderMutexLock lock(&log->mutex);
    producers += static_cast<int64_t>(log->state.producers().entries().size());
    if (RetentionDue(*log, now_ms)) due.push_back({log, log->durable_end, log->truncations});
  }
  parts_.counters.producers.store(producers, std::memory_order_relaxed);
  return due;
}

absl::StatusOr<std::optional<StartOp>> Maintainer::PlanRetention(const DueLog& due, int64_t now_ms) {
  LogSettings settings;
  Offset start;
  {
    absl::ReaderMutexLock lock(&due.log->mutex);
    settings = due.log->settings;
    start = due.log->state.start();
  }
  const bool by_time = settings.retention_ms >= 0;
  const int64_t appended_since = by_time ? now_ms - settings.retention_ms : 0;
  NARU_ASSIGN_OR_RETURN(const Offset to, parts_.cuts.FindRetentionStart(*due.log, appended_since,
                                                                        settings.retention_bytes, due.end));
  const bool moves = to > start;
  if (by_time) {
    // Where batches expire one by one, not each is worth a move of its own.
    const int64_t pause_ms = moves ? std::min(settings.retention_ms / kMovesPerRetention, kPauseMsMax) : 0;
    NARU_RETURN_IF_ERROR(NoteNextExpiry(due, settings.retention_ms, to, now_ms + pause_ms));
  }
  if (!moves) return std::nullopt;
  // The appender, which everyone waits for, is spared looking at old data: all it needs is handed over.
  StartOp op{due.log, to, nullptr};
  NARU_ASSIGN_OR_RETURN(op.planned, parts_.cuts.PlanStart(*due.log, to));
  op.truncations = due.truncations;
  if (!op.planned) return std::nullopt;
  return op;
}

absl::Status Maintainer::NoteNextExpiry(const DueLog& due, int64_t retention_ms, Offset start,
                                        int64_t not_before_ms) {
  // When the oldest batch that stays is too old, there is something to do again.
  NARU_ASSIGN_OR_RETURN(const auto oldest, parts_.cuts.AppendTimeAt(due.log->id, start));
  if (!oldest) return absl::OkStatus();
  const int64_t forever = std::numeric_limits<int64_t>::max();
  const int64_t expires_ms = retention_ms < forever - *oldest ? *oldest + retention_ms + 1 : forever;
  absl::MutexLock lock(&due.log->mutex);
  if (due.log->settings.retention_ms == retention_ms && due.log->truncations == due.truncations) {
    due.log->retention_due_ms = std::max(expires_ms, not_before_ms);
  }
  return absl::OkStatus();
}

bool Maintainer::ChangedSince(const DueLog& due) {
  absl::ReaderMutexLock lock(&due.log->mutex);
  return due.log->deleted || due.log->truncations != due.truncations;
}

absl::Status Maintainer::ApplyRetention() {
  const int64_t now_ms = parts_.clock.NowMs();
  std::vector<DueLog> due = FindDue(now_ms);
  if (due.empty()) return absl::OkStatus();
  if (parts_.options.committed_end) {
    for (DueLog& log : due) log.end = std::min(log.end, parts_.options.committed_end(log.log->id));
  }
  parts_.syncer.Drain();  // so that the index has everything below the ends that were noted
  std::vector<StartOp> moves;
  size_t planned_logs = 0;
  for (const DueLog& log : due) {
    if (Stopping()) break;
    if (++planned_logs % kLogsBetween == 0) NARU_RETURN_IF_ERROR(KeepUp());
    auto planned = PlanRetention(log, now_ms);
    if (planned.ok()) {
      if (planned->has_value()) moves.push_back(**std::move(planned));
    } else if (!ChangedSince(log)) {
      // Damaged, then; the others go on.
      parts_.events.Write(Severity::kWarning, "retention_failed",
                          {{"log", log.log->id.value()}, {"error", planned.status().ToString()}});
    }
    if (moves.size() >= kMovesAtOnce) MoveStarts(std::exchange(moves, {}));
  }
  MoveStarts(std::move(moves));
  return absl::OkStatus();
}

void Maintainer::MoveStarts(std::vector<StartOp> moves) {
  auto left = std::make_shared<absl::BlockingCounter>(static_cast<int>(moves.size()));
  for (StartOp& move : moves) {
    move.done = [this, left, log = move.log](const absl::Status& status) {
      if (status.ok()) {
        Count(parts_.counters.retention_moves);
      } else {
        absl::MutexLock lock(&log->mutex);
        log->retention_due_ms = 0;  // once more in the next round
      }
      left->DecrementCount();
    };
    Op op = std::move(move);
    if (!parts_.appender.Enqueue(op)) left->DecrementCount();
  }
  left->Wait();
}

}  // namespace naru
