// The fold of all entries but batches.
#include <algorithm>
#include <limits>

#include "storage/base/check.h"
#include "storage/base/status.h"
#include "storage/store/fold.h"

namespace naru {

absl::Status Fold::ApplyControl(const EntryHeader& header, std::string_view body, const EntryPlace& place,
                                IndexUpdate& update) {
  NARU_CHECK(!open_run_);
  segments_.AddEntry(place.segment, header.sequence, static_cast<int64_t>(header.entry_bytes()));
  switch (header.type) {
    case EntryType::kBatch:
      break;
    case EntryType::kCreateLogs:
      return CreateLogs(body);
    case EntryType::kDeleteLogs:
      return DeleteLogs(body, update);
    case EntryType::kMoveStarts:
      return MoveStarts(body);
    case EntryType::kTruncate:
      return Truncate(body, update);
    case EntryType::kBeginEpoch:
      return BeginEpochs(body);
    case EntryType::kReclaim:
      return ReclaimRuns(body, update);
    case EntryType::kMove:
      return MoveRuns(header, body, place, update);
    case EntryType::kRewrite:
      return RewriteRuns(header, body, place, update);
    case EntryType::kMark:
      return absl::OkStatus();
    case EntryType::kSnapshot:
      NoteSnapshot(header, update);
      return absl::OkStatus();
    case EntryType::kRemoveSegments:
      return RemoveSegments(body, update);
  }
  return MakeError(Reason::kCorruptData,
                   absl::StrCat("entry ", header.sequence.value(), " is of no known type"));
}

absl::Status Fold::CreateLogs(std::string_view body) {
  NARU_ASSIGN_OR_RETURN(const auto ids, DecodeLogIds(body));
  for (const LogId id : ids) {
    if (!logs_.IsDead(id)) NoteChanged(logs_.Make(id));
  }
  return absl::OkStatus();
}

absl::Status Fold::DeleteLogs(std::string_view body, IndexUpdate& update) {
  NARU_ASSIGN_OR_RETURN(const auto ids, DecodeLogIds(body));
  for (const LogId id : ids) {
    const auto log = logs_.Remove(id);
    if (log == nullptr) continue;
    {
      absl::MutexLock lock(&log->mutex);
      log->deleted = true;
      for (const auto& [producer, entry] : log->state.producers().entries())
        update.DeleteProducer(id, producer);
    }
    changed_.erase(log);
    update.DeleteLog(id);
    const LogTable::DeadChange dead = logs_.MarkDead(id);
    for (const LogId first : dead.removed) update.DeleteDead(first);
    for (const DeadLogs& put : dead.put) update.PutDead(put.first, put.last);
    update.PutDoomed(id);
    AddDoomed(id);
  }
  return absl::OkStatus();
}

absl::Status Fold::MoveStarts(std::string_view body) {
  NARU_ASSIGN_OR_RETURN(const auto moves, DecodeStartMoves(body));
  for (const LogStartMove& move : moves) {
    const auto log = logs_.Find(move.log);
    if (log == nullptr) continue;
    absl::MutexLock lock(&log->mutex);
    if (move.start > log->state.end()) {
      return MakeError(Reason::kCorruptData, absl::StrCat("the start of log ", move.log.value(), " would be ",
                                                          move.start.value(), ", above its end"));
    }
    if (log->state.MoveStart(move.start)) log->bytes_start = move.bytes_before;
    NoteChanged(log);
  }
  return absl::OkStatus();
}

absl::Status Fold::Truncate(std::string_view body, IndexUpdate& update) {
  NARU_ASSIGN_OR_RETURN(const Truncation truncation, DecodeTruncation(body));
  const auto log = logs_.Find(truncation.log);
  if (log == nullptr) return absl::OkStatus();
  NARU_ASSIGN_OR_RETURN(LogState state, LogState::Decode(truncation.state));
  int64_t bytes_back = 0;
  absl::Status visited = index_.VisitRunsBackwards(
      truncation.log, Offset(std::numeric_limits<int64_t>::max()), [&](const Run& run) {
        if (run.next <= truncation.end) return false;
        const bool kept = truncation.cut && truncation.cut->base == run.base;
        const int64_t left = kept ? truncation.cut->length : 0;
        segments_.AddLive(run.segment, left - static_cast<int64_t>(run.length));
        bytes_back += run.bytes_gone - (kept ? truncation.cut->bytes_gone : 0);
        if (kept) {
          update.PutRun(truncation.log, *truncation.cut);
        } else {
          update.DeleteRun(truncation.log, run.base);
        }
        return true;
      });
  NARU_RETURN_IF_ERROR(visited);
  absl::MutexLock lock(&log->mutex);
  for (const auto& [id, entry] : log->state.producers().entries()) changed_producers_.emplace(log, id);
  for (const auto& [id, entry] : state.producers().entries()) changed_producers_.emplace(log, id);
  log->state = std::move(state);
  ++log->truncations;
  log->bytes_start = truncation.bytes_start;
  log->bytes_end = truncation.bytes_end;
  log->bytes_gone -= bytes_back;
  log->compaction.Truncate(log->state.end(), log->bytes_end);
  for (Offset* end : {&log->written_end, &log->durable_end, &log->readable_end}) {
    *end = std::clamp(*end, log->state.start(), log->state.end());
  }
  log->reclaimed_to = std::min(log->reclaimed_to, log->state.start());
  log->retention_due_ms = log->compaction_due_ms = 0;
  log->reclaim_checked_start = Offset(-1);
  NoteChanged(log);
  return absl::OkStatus();
}

absl::Status Fold::BeginEpochs(std::string_view body) {
  NARU_ASSIGN_OR_RETURN(const auto epochs, DecodeEpochs(body));
  for (const EpochBegin& begin : epochs) {
    const auto log = logs_.Find(begin.log);
    if (log == nullptr) continue;
    absl::MutexLock lock(&log->mutex);
    if (begin.epoch < log->state.epochs().current()) {
      return MakeError(Reason::kCorruptData,
                       absl::StrCat("the epoch of log ", begin.log.value(), " would fall"));
    }
    log->state.BeginEpoch(begin.epoch);
    NoteChanged(log);
  }
  return absl::OkStatus();
}

absl::Status Fold::ReclaimRuns(std::string_view body, IndexUpdate& update) {
  NARU_ASSIGN_OR_RETURN(const auto reclaims, DecodeReclaims(body));
  for (const Reclaim& reclaim : reclaims) NARU_RETURN_IF_ERROR(ReclaimLog(reclaim, update));
  return absl::OkStatus();
}

absl::Status Fold::ReclaimLog(const Reclaim& reclaim, IndexUpdate& update) {
  const auto log = logs_.Find(reclaim.log);
  Offset from(0);
  Offset to = reclaim.to;
  if (log != nullptr) {
    absl::MutexLock lock(&log->mutex);
    from = log->reclaimed_to;
    to = std::min(to, log->state.start());
    if (to <= from) return absl::OkStatus();
    log->reclaimed_to = to;
    NoteChanged(log);
  } else {
    absl::MutexLock lock(&doomed_mutex_);
    const auto at = doomed_.find(reclaim.log);
    if (at == doomed_.end()) return absl::OkStatus();
    from = at->second;
    at->second = to;
    if (to == Offset(std::numeric_limits<int64_t>::max())) {
      doomed_.erase(at);
      update.DeleteDoomed(reclaim.log);
    }
  }
  NARU_ASSIGN_OR_RETURN(const auto runs,
                        index_.RunsFrom(reclaim.log, from, to, std::numeric_limits<size_t>::max()));
  int64_t bytes_gone = 0;
  for (const Run& run : runs) {
    if (run.next > to) break;
    update.DeleteRun(reclaim.log, run.base);
    segments_.AddLive(run.segment, -static_cast<int64_t>(run.length));
    bytes_gone += run.bytes_gone;
  }
  if (log == nullptr) return absl::OkStatus();
  absl::MutexLock lock(&log->mutex);
  log->bytes_gone -= bytes_gone;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Run>> Fold::RunsToMove(const MovedRun& move) const {
  std::vector<Run> runs;
  // A deleted log's are given up where they are.
  if (logs_.Find(move.log) == nullptr) return runs;
  for (const MovedRun::Old& old : move.old) {
    NARU_ASSIGN_OR_RETURN(const auto run, index_.RunAt(move.log, old.base));
    if (!run || run->segment != old.segment || run->position != old.position) {
      return std::vector<Run>();
    }
    runs.push_back(*run);
  }
  // Cut by a truncation meanwhile.
  if (!runs.empty() && runs.back().next != move.run.next) runs.clear();
  return runs;
}

absl::StatusOr<std::optional<int64_t>> Fold::PlaceRun(MovedRun move, const EntryHeader& header,
                                                      const EntryPlace& place, IndexUpdate& update) {
  // Only where the index still points to the old places: a truncation, a moved start or a deletion came
  // first otherwise, and what it took away must not come back.
  NARU_ASSIGN_OR_RETURN(const auto old_runs, RunsToMove(move));
  if (old_runs.empty()) return std::nullopt;
  int64_t left_out = move.run.bytes_gone;
  for (const Run& old : old_runs) {
    update.DeleteRun(move.log, old.base);
    segments_.AddLive(old.segment, -static_cast<int64_t>(old.length));
    left_out -= old.bytes_gone;
  }
  move.run.segment = place.segment;
  move.run.position += place.position + header.header_bytes();
  update.PutRun(move.log, move.run);
  segments_.AddLive(place.segment, move.run.length);
  return left_out;
}

absl::Status Fold::MoveRuns(const EntryHeader& header, std::string_view body, const EntryPlace& place,
                            IndexUpdate& update) {
  NARU_ASSIGN_OR_RETURN(auto moves, DecodeMoveTable(body));
  for (MovedRun& move : moves) {
    NARU_RETURN_IF_ERROR(PlaceRun(std::move(move), header, place, update).status());
  }
  return absl::OkStatus();
}

absl::Status Fold::RewriteRuns(const EntryHeader& header, std::string_view body, const EntryPlace& place,
                               IndexUpdate& update) {
  NARU_ASSIGN_OR_RETURN(Rewrite rewrite, DecodeRewriteTable(body));
  for (MovedRun& move : rewrite.runs) {
    const auto log = logs_.Find(move.log);
    NARU_ASSIGN_OR_RETURN(const auto left_out, PlaceRun(std::move(move), header, place, update));
    if (!left_out || log == nullptr) continue;
    absl::MutexLock lock(&log->mutex);
    log->bytes_gone += *left_out;
    NoteChanged(log);
  }
  for (const Compacted& compacted : rewrite.compacted) NARU_RETURN_IF_ERROR(SetCompacted(compacted));
  return absl::OkStatus();
}

absl::Status Fold::SetCompacted(const Compacted& compacted) {
  NARU_ASSIGN_OR_RETURN(CompactionState state, CompactionState::Decode(compacted.state));
  const auto log = logs_.Find(compacted.log);
  if (log == nullptr) return absl::OkStatus();
  absl::MutexLock lock(&log->mutex);
  log->compaction = std::move(state);
  NoteChanged(log);
  return absl::OkStatus();
}

absl::Status Fold::RemoveSegments(std::string_view body, IndexUpdate& update) {
  NARU_ASSIGN_OR_RETURN(const auto ids, DecodeSegmentIds(body));
  for (const SegmentId id : ids) {
    segments_.Remove(id);
    update.DeleteSegment(id);
  }
  return absl::OkStatus();
}

void Fold::NoteSnapshot(const EntryHeader& header, IndexUpdate& update) {
  if (header.Has(kFirstPiece)) {
    snapshot_first_ = header.sequence;
  } else if (snapshot_first_.value() == 0 || header.sequence.value() != snapshot_last_.value() + 1) {
    snapshot_first_ = Sequence(0);  // its beginning is missing
    return;
  }
  snapshot_last_ = header.sequence;
  if (!header.Has(kLastPiece)) return;
  set_snapshot_sequence(snapshot_first_);
  snapshot_first_ = Sequence(0);
  update.PutSnapshot(snapshot_sequence());
}

}  // namespace naru
