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

}  // namespace

bool Maintainer::RetentionDue(const Log& log, int64_t now_ms) const {
  if (log.deleted || log.state.start() >= log.durable_end) return false;
  const LogSettings& settings = log.settings;
  if (settings.retention_bytes >= 0 && log.bytes_end - log.bytes_start > settings.retention_bytes)
    return true;
  return settings.retention_ms >= 0 && now_ms >= log.retention_due_ms;
}

absl::Status Maintainer::PlanRetention(const std::shared_ptr<Log>& log, int64_t now_ms,
                                       std::vector<std::pair<std::shared_ptr<Log>, Offset>>& moves) {
  LogSettings settings;
  Offset start;
  Offset end;
  {
    absl::ReaderMutexLock lock(&log->mutex);
    settings = log->settings;
    start = log->state.start();
    end = log->durable_end;
  }
  const int64_t appended_since = settings.retention_ms >= 0 ? now_ms - settings.retention_ms : 0;
  NARU_ASSIGN_OR_RETURN(const Offset to,
                        parts_.cuts.FindRetentionStart(*log, appended_since, settings.retention_bytes, end));
  if (to > start) moves.emplace_back(log, to);
  if (settings.retention_ms < 0) return absl::OkStatus();
  // When the oldest batch that stays is too old, there is something to do again.
  NARU_ASSIGN_OR_RETURN(const auto oldest, parts_.cuts.AppendTimeAt(log->id, to));
  if (!oldest) return absl::OkStatus();
  absl::MutexLock lock(&log->mutex);
  if (log->settings.retention_ms == settings.retention_ms) {
    const int64_t forever = std::numeric_limits<int64_t>::max();
    log->retention_due_ms =
        settings.retention_ms < forever - *oldest ? *oldest + settings.retention_ms + 1 : forever;
  }
  return absl::OkStatus();
}

absl::Status Maintainer::ApplyRetention() {
  const int64_t now_ms = parts_.clock.NowMs();
  std::vector<std::shared_ptr<Log>> due;
  for (const auto& log : parts_.logs.All()) {
    absl::ReaderMutexLock lock(&log->mutex);
    if (RetentionDue(*log, now_ms)) due.push_back(log);
  }
  if (due.empty()) return absl::OkStatus();
  parts_.syncer.Drain();  // so that the index has all that is durable
  std::vector<std::pair<std::shared_ptr<Log>, Offset>> moves;
  for (const auto& log : due) {
    if (Stopping()) return absl::OkStatus();
    const absl::Status planned = PlanRetention(log, now_ms, moves);
    // Truncated or deleted while we looked, or damaged: the others go on.
    if (!planned.ok()) {
      parts_.events.Write(Severity::kWarning, "retention_failed",
                          {{"log", log->id.value()}, {"error", planned.ToString()}});
    }
  }
  for (size_t at = 0; at < moves.size(); at += kMovesAtOnce) {
    const size_t end = std::min(moves.size(), at + kMovesAtOnce);
    auto left = std::make_shared<absl::BlockingCounter>(static_cast<int>(end - at));
    for (size_t i = at; i < end; ++i) {
      Op op = StartOp{moves[i].first, moves[i].second, [this, left](const absl::Status& status) {
                        if (status.ok()) Count(parts_.counters.retention_moves);
                        left->DecrementCount();
                      }};
      if (!parts_.appender.Enqueue(op)) left->DecrementCount();
    }
    left->Wait();
  }
  return absl::OkStatus();
}

}  // namespace naru
