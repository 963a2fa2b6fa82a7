#include "storage/store/log_cuts.h"

#include <algorithm>
#include <utility>

#include "storage/base/check.h"
#include "storage/base/status.h"

namespace naru {
namespace {

absl::Status Missing(LogId log, Offset offset) {
  return MakeError(Reason::kCorruptData,
                   absl::StrCat("the index lacks offset ", offset.value(), " of log ", log.value()));
}

AppliedBatch AppliedOf(const EntryHeader& header) {
  return {header.base_offset,    header.next_offset(),    header.leader_epoch,
          header.append_time_ms, header.max_timestamp_ms, header.producer()};
}

}  // namespace

absl::StatusOr<std::optional<LogStartMove>> LogCuts::PlanStart(const Log& log, Offset start) const {
  LogStartMove move{log.id, start, 0};
  {
    absl::ReaderMutexLock lock(&log.mutex);
    NARU_RETURN_IF_ERROR(log.state.CheckMoveStart(start, log.readable_end));
    if (start <= log.state.start()) return std::nullopt;
    if (start == log.state.end()) {
      move.bytes_before = log.bytes_end;
      return move;
    }
  }
  NARU_ASSIGN_OR_RETURN(move.bytes_before, BytesBefore(log.id, start));
  return move;
}

absl::StatusOr<int64_t> LogCuts::BytesBefore(LogId log, Offset offset) const {
  // From the run of what comes before, which is alive, too; what begins there may not be in the index yet.
  NARU_ASSIGN_OR_RETURN(const auto run, index_.FindRun(log, offset - 1));
  if (!run || run->next < offset) return Missing(log, offset - 1);
  if (run->next == offset) return run->bytes_end();
  int64_t bytes = run->bytes_before;
  NARU_RETURN_IF_ERROR(reader_.VisitHeaders(log, *run, [&](const EntryHeader& header, uint64_t) {
    if (header.next_offset() > offset) return false;
    bytes += header.bytes_appended();
    return true;
  }));
  return bytes;
}

Truncation LogCuts::PlanReset(const Log& log, Offset end, const std::vector<ProducerState>& producers) const {
  absl::ReaderMutexLock lock(&log.mutex);
  Truncation truncation;
  truncation.log = log.id;
  // Every run goes.
  truncation.end = Offset(INT64_MIN + 1);
  LogState state = log.state;
  state.Reset(end, producers);
  truncation.state = state.Encode();
  truncation.bytes_start = truncation.bytes_end = log.bytes_end;
  return truncation;
}

absl::StatusOr<std::optional<Truncation>> LogCuts::PlanTruncation(const Log& log, Offset end) const {
  LogState state;
  Truncation truncation;
  truncation.log = log.id;
  {
    absl::ReaderMutexLock lock(&log.mutex);
    state = log.state;
    truncation.bytes_start = log.bytes_start;
  }
  if (end >= state.end()) return std::nullopt;
  if (end < state.start() && state.start() < state.end()) {
    // The batch that holds the start is still there; if the end cuts it, it goes whole like any other.
    NARU_ASSIGN_OR_RETURN(const Offset oldest, BatchOf(log.id, state.start()));
    if (oldest < end) end = oldest;
  }
  truncation.end = end;
  int64_t prefix_max_timestamp_ms = 0;
  truncation.bytes_end = truncation.bytes_start;
  // The run that holds the last offset kept, if any is kept.
  std::optional<Run> last;
  if (end >= state.start() && end > Offset(0)) {
    NARU_ASSIGN_OR_RETURN(last, index_.FindRun(log.id, end - 1));
    const bool reaches = last && last->next >= end;
    if (!reaches && end > state.start()) return Missing(log.id, end - 1);
    if (!reaches) last.reset();
    if (last && last->next > end) {
      NARU_ASSIGN_OR_RETURN(const auto cut, reader_.Cut(log.id, *last, end));
      truncation.end = cut ? cut->next : last->base;
      truncation.cut = cut;
      if (cut) {
        last = cut;
      } else {
        NARU_ASSIGN_OR_RETURN(last, index_.FindRun(log.id, truncation.end - 1));
        if (last && last->next != truncation.end) last.reset();
      }
    }
  }
  if (last) {
    truncation.bytes_end = last->bytes_end();
    if (last->next > state.start()) prefix_max_timestamp_ms = last->max_timestamp_so_far_ms;
  }
  truncation.bytes_start = std::min(truncation.bytes_start, truncation.bytes_end);
  LogState::LookBack look_back(state, truncation.end);
  NARU_RETURN_IF_ERROR(LookBack(log.id, state.start(), truncation.end, look_back));
  state.Truncate(look_back, prefix_max_timestamp_ms);
  truncation.state = state.Encode();
  return truncation;
}

absl::StatusOr<Offset> LogCuts::BatchOf(LogId log, Offset offset) const {
  NARU_ASSIGN_OR_RETURN(const auto run, index_.FindRun(log, offset));
  if (!run || run->next <= offset) return Missing(log, offset);
  Offset base = run->base;
  NARU_RETURN_IF_ERROR(reader_.VisitHeaders(log, *run, [&](const EntryHeader& header, uint64_t) {
    base = header.base_offset;
    return header.next_offset() <= offset;
  }));
  return base;
}

absl::Status LogCuts::LookBack(LogId log, Offset start, Offset end, LogState::LookBack& look_back) const {
  if (end <= start) return absl::OkStatus();
  absl::Status failed;
  NARU_RETURN_IF_ERROR(index_.VisitRunsBackwards(log, end, [&](const Run& run) {
    if (run.next <= start) return false;
    std::vector<EntryHeader> headers;
    failed = reader_.VisitHeaders(log, run, [&](const EntryHeader& header, uint64_t) {
      if (header.next_offset() > end) return false;
      if (header.next_offset() > start) headers.push_back(header);
      return true;
    });
    for (auto header = headers.rbegin(); header != headers.rend() && look_back.wants_more(); ++header) {
      look_back.Visit(AppliedOf(*header));
    }
    return failed.ok() && look_back.wants_more();
  }));
  return failed;
}

absl::StatusOr<Offset> LogCuts::FirstAppendedSince(LogId log, int64_t append_time_ms, Offset start,
                                                   Offset end) const {
  // Append times never fall within a log: bisect to the first run whose last batch is young enough.
  Offset low = start;
  Offset high = end;
  std::optional<Run> first;
  while (low < high) {
    const Offset middle = low + (high - low) / 2;
    NARU_ASSIGN_OR_RETURN(const auto run, index_.FindRun(log, middle));
    if (!run || run->next <= middle) return Missing(log, middle);
    if (run->append_time_ms < append_time_ms) {
      low = run->next;
    } else {
      high = std::max(run->base, low);
      first = run;
    }
  }
  if (!first) return end;
  Offset found = first->base;
  NARU_RETURN_IF_ERROR(reader_.VisitHeaders(log, *first, [&](const EntryHeader& header, uint64_t) {
    found = header.base_offset;
    return header.append_time_ms < append_time_ms;
  }));
  return std::clamp(found, start, end);
}

absl::StatusOr<Offset> LogCuts::FirstWithin(LogId log, int64_t bytes_before, Offset start, Offset end) const {
  // The first batch before which at least `bytes_before` bytes lie; sums never fall either.
  Offset low = start;  // everything below is too old
  Offset high = end;
  while (low < high) {
    const Offset middle = low + (high - low) / 2;
    NARU_ASSIGN_OR_RETURN(const auto run, index_.FindRun(log, middle));
    if (!run || run->next <= middle) return Missing(log, middle);
    if (run->bytes_end() <= bytes_before) {
      low = run->next;
    } else if (run->bytes_before >= bytes_before) {
      high = std::max(run->base, low);
    } else {
      Offset found = run->next;
      int64_t bytes = run->bytes_before;
      NARU_RETURN_IF_ERROR(reader_.VisitHeaders(log, *run, [&](const EntryHeader& header, uint64_t) {
        found = header.base_offset;
        if (bytes >= bytes_before) return false;
        bytes += header.bytes_appended();
        found = header.next_offset();
        return true;
      }));
      return std::clamp(found, start, end);
    }
  }
  return std::min(low, end);
}

absl::StatusOr<Offset> LogCuts::FirstWithinLeft(LogId log, int64_t bytes_max, Offset start,
                                                Offset end) const {
  Offset within = end;
  int64_t bytes = 0;
  absl::Status failed;
  NARU_RETURN_IF_ERROR(index_.VisitRunsBackwards(log, end, [&](const Run& run) {
    if (run.next <= start) return false;
    if (bytes + run.bytes - run.bytes_gone <= bytes_max) {
      bytes += run.bytes - run.bytes_gone;
      within = std::min(run.base, end);
      return true;
    }
    std::vector<EntryHeader> headers;
    failed = reader_.VisitHeaders(log, run, [&](const EntryHeader& header, uint64_t) {
      headers.push_back(header);
      return true;
    });
    for (auto header = headers.rbegin(); header != headers.rend(); ++header) {
      bytes += header->batch_bytes();
      if (bytes > bytes_max) break;
      within = std::min(header->base_offset, end);
    }
    return false;
  }));
  NARU_RETURN_IF_ERROR(failed);
  return std::clamp(within, start, end);
}

absl::StatusOr<Offset> LogCuts::FindRetentionStart(const Log& log, int64_t append_time_ms, int64_t bytes_max,
                                                   Offset end) const {
  Offset start;
  int64_t bytes_end = 0;
  int64_t size_bytes = 0;
  bool left_out = false;
  {
    absl::ReaderMutexLock lock(&log.mutex);
    size_bytes = log.size_bytes();
    left_out = log.bytes_gone != 0;
    start = log.state.start();
    bytes_end = log.bytes_end;
  }
  Offset found = start;
  if (append_time_ms > 0) {
    NARU_ASSIGN_OR_RETURN(found, FirstAppendedSince(log.id, append_time_ms, start, end));
  }
  if (bytes_max >= 0 && size_bytes > bytes_max) {
    NARU_ASSIGN_OR_RETURN(const Offset within, left_out
                                                   ? FirstWithinLeft(log.id, bytes_max, start, end)
                                                   : FirstWithin(log.id, bytes_end - bytes_max, start, end));
    found = std::max(found, within);
  }
  return found;
}

absl::StatusOr<std::optional<int64_t>> LogCuts::AppendTimeAt(LogId log, Offset from) const {
  NARU_ASSIGN_OR_RETURN(const auto runs, index_.RunsFrom(log, from, Offset(INT64_MAX), 1));
  if (runs.empty()) return std::nullopt;
  std::optional<int64_t> found;
  NARU_RETURN_IF_ERROR(reader_.VisitHeaders(log, runs.front(), [&](const EntryHeader& header, uint64_t) {
    if (header.next_offset() <= from) return true;
    found = header.append_time_ms;
    return false;
  }));
  return found;
}

}  // namespace naru
