#include "storage/store/rebuild.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "storage/base/coding.h"
#include "storage/base/status.h"

namespace naru {
namespace {

constexpr size_t kAll = std::numeric_limits<size_t>::max();

absl::Status Lost(LogId log, Offset from) {
  return absl::DataLossError(absl::StrCat("log ", log.value(), " lacks its records from offset ",
                                          from.value(), " on: a segment with live data is missing"));
}

}  // namespace

void Rebuild::BeginGap() {
  complete_ = false;
  snapshot_ = {};
  snapshot_first_ = Sequence(0);
}

absl::Status Rebuild::ApplyMove(const EntryHeader& header, std::string_view body, const EntryPlace& place) {
  segments_.AddEntry(place.segment, header.sequence, static_cast<int64_t>(header.entry_bytes()));
  if (header.type == EntryType::kMove) {
    NARU_ASSIGN_OR_RETURN(auto moves, DecodeMoveTable(body));
    return PlaceMoves(header, std::move(moves), place);
  }
  NARU_ASSIGN_OR_RETURN(auto rewrite, DecodeRewriteTable(body));
  NARU_RETURN_IF_ERROR(PlaceMoves(header, std::move(rewrite.runs), place));
  IndexUpdate update;
  for (const Compacted& compacted : rewrite.compacted) {
    NARU_ASSIGN_OR_RETURN(CompactionState state, CompactionState::Decode(compacted.state));
    const auto log = logs_.Find(compacted.log);
    if (log == nullptr) continue;
    absl::MutexLock lock(&log->mutex);
    log->compaction = std::move(state);
    update.PutLog(log->id, EncodeLogRow(*log));
  }
  return index_.Commit(std::move(update));
}

absl::Status Rebuild::PlaceMoves(const EntryHeader& header, std::vector<MovedRun> moves,
                                 const EntryPlace& place) {
  for (MovedRun& move : moves) {
    // Behind a snapshot the logs are known: what is not among them was deleted, and its runs went.
    if (complete_ && logs_.Find(move.log) == nullptr) continue;
    move.run.segment = place.segment;
    move.run.position += place.position + header.header_bytes();
    NARU_RETURN_IF_ERROR(PlaceRun(move.log, move.run));
  }
  return absl::OkStatus();
}

absl::Status Rebuild::Apply(const EntryHeader& header, std::string_view body, const EntryPlace& place) {
  if (header.type != EntryType::kBatch || header.Has(kRunStart)) NARU_RETURN_IF_ERROR(CommitOpenRun());
  const auto entry_bytes = static_cast<int64_t>(header.entry_bytes());
  segments_.AddEntry(place.segment, header.sequence, entry_bytes);
  if (header.type == EntryType::kBatch) {
    if (header.Has(kRunStart)) {
      open_run_.emplace(header.log, RunOfEntry(header, place.segment, place.position));
    } else if (open_run_ && open_run_->first == header.log && open_run_->second.next == header.base_offset) {
      ExtendRun(open_run_->second, header);
    } else {
      return absl::DataLossError("a batch continues no run");
    }
    return absl::OkStatus();
  }
  switch (header.type) {
    case EntryType::kTruncate: {
      NARU_ASSIGN_OR_RETURN(const Truncation truncation, DecodeTruncation(body));
      IndexUpdate update;
      NARU_RETURN_IF_ERROR(
          MakeRoom(truncation.log, truncation.end, Offset(std::numeric_limits<int64_t>::max()), update));
      return index_.Commit(std::move(update));
    }
    case EntryType::kMove: {
      NARU_ASSIGN_OR_RETURN(auto moves, DecodeMoveTable(body));
      return PlaceMoves(header, std::move(moves), place);
    }
    case EntryType::kRewrite: {
      // How far logs are compacted is in the snapshot.
      NARU_ASSIGN_OR_RETURN(auto rewrite, DecodeRewriteTable(body));
      return PlaceMoves(header, std::move(rewrite.runs), place);
    }
    case EntryType::kRemoveSegments: {
      NARU_ASSIGN_OR_RETURN(const auto ids, DecodeSegmentIds(body));
      IndexUpdate update;
      for (const SegmentId id : ids) {
        segments_.Remove(id);
        update.DeleteSegment(id);
      }
      return index_.Commit(std::move(update));
    }
    case EntryType::kSnapshot:
      return AddPiece(header, body);
    default:
      // What these did is in the snapshot.
      return absl::OkStatus();
  }
}

absl::Status Rebuild::CommitOpenRun() {
  if (!open_run_) return absl::OkStatus();
  const auto [log, run] = *std::exchange(open_run_, std::nullopt);
  return PlaceRun(log, run);
}

absl::Status Rebuild::PlaceRun(LogId log, const Run& run) {
  IndexUpdate update;
  NARU_RETURN_IF_ERROR(MakeRoom(log, run.base, run.next, update));
  update.PutRun(log, run);
  segments_.AddLive(run.segment, run.length);
  return index_.Commit(std::move(update));
}

absl::Status Rebuild::MakeRoom(LogId log, Offset base, Offset next, IndexUpdate& update) {
  NARU_ASSIGN_OR_RETURN(const auto runs, index_.RunsFrom(log, base, next, kAll));
  for (const Run& run : runs) {
    std::optional<Run> kept;
    if (run.base < base) {
      NARU_ASSIGN_OR_RETURN(kept, reader_.Cut(log, run, base));
    }
    if (kept) {
      update.PutRun(log, *kept);
    } else {
      update.DeleteRun(log, run.base);
    }
    segments_.AddLive(run.segment, (kept ? int64_t{kept->length} : 0) - int64_t{run.length});
  }
  return absl::OkStatus();
}

absl::Status Rebuild::AddPiece(const EntryHeader& header, std::string_view body) {
  if (header.Has(kFirstPiece)) {
    snapshot_ = {};
    snapshot_first_ = header.sequence;
  } else if (snapshot_first_.value() == 0 || header.sequence.value() != snapshot_last_.value() + 1) {
    snapshot_first_ = Sequence(0);
    return absl::OkStatus();
  }
  snapshot_last_ = header.sequence;
  NARU_ASSIGN_OR_RETURN(SnapshotPiece piece, DecodeSnapshotPiece(body));
  const auto append = [](auto& to, auto& from) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  };
  append(snapshot_.dead, piece.dead);
  append(snapshot_.logs, piece.logs);
  append(snapshot_.producers, piece.producers);
  append(snapshot_.compactions, piece.compactions);
  if (!header.Has(kLastPiece)) return absl::OkStatus();
  return Reconcile();
}

absl::Status Rebuild::Reconcile() {
  IndexUpdate update;
  // Whatever was known before the gap is out of date.
  for (const auto& log : logs_.All()) {
    absl::MutexLock lock(&log->mutex);
    for (const auto& [id, entry] : log->state.producers().entries()) update.DeleteProducer(log->id, id);
    update.DeleteLog(log->id);
    logs_.Remove(log->id);
  }
  for (const DeadLogs& dead : logs_.Dead()) update.DeleteDead(dead.first);
  logs_.ClearDead();
  for (const DeadLogs& dead : snapshot_.dead) {
    logs_.AddDead(dead.first, dead.last);
    update.PutDead(dead.first, dead.last);
  }
  for (const SnapshotLog& row : snapshot_.logs) {
    const auto log = logs_.Make(row.log);
    absl::MutexLock lock(&log->mutex);
    NARU_ASSIGN_OR_RETURN(log->state, LogState::DecodeHead(row.head));
    log->reclaimed_to = row.reclaimed_to;
    log->bytes_start = row.bytes_start;
    log->bytes_end = row.bytes_end;
    log->AllDurable();
    update.PutLog(row.log, EncodeLogRow(*log));
  }
  for (const SnapshotCompaction& compaction : snapshot_.compactions) {
    const auto log = logs_.Find(compaction.log);
    if (log == nullptr) return absl::DataLossError("a snapshot has a state of compaction of no log");
    absl::MutexLock lock(&log->mutex);
    NARU_ASSIGN_OR_RETURN(log->compaction, CompactionState::Decode(compaction.state));
    log->bytes_gone = compaction.bytes_gone;
    update.PutLog(compaction.log, EncodeLogRow(*log));
  }
  for (const SnapshotProducer& producer : snapshot_.producers) {
    const auto log = logs_.Find(producer.log);
    if (log == nullptr) return absl::DataLossError("a snapshot has a producer of no log");
    absl::MutexLock lock(&log->mutex);
    NARU_RETURN_IF_ERROR(log->state.RestoreProducer(producer.entry));
    // An entry begins with the producer's id.
    update.PutProducer(log->id, GetLittle<int64_t>(producer.entry.data()), producer.entry);
  }
  NARU_RETURN_IF_ERROR(ReconcileRuns(update));
  NARU_RETURN_IF_ERROR(index_.Commit(std::move(update)));
  complete_ = true;
  return absl::OkStatus();
}

absl::Status Rebuild::ReconcileRuns(IndexUpdate& update) {
  return index_.VisitRuns([&](LogId id, const Run& run) -> absl::Status {
    const auto log = logs_.Find(id);
    std::optional<Run> kept;
    if (log != nullptr) {
      absl::MutexLock lock(&log->mutex);
      if (run.next > log->reclaimed_to && run.base < log->state.end()) {
        kept = run;
        if (run.next > log->state.end()) {
          NARU_ASSIGN_OR_RETURN(kept, reader_.Cut(id, run, log->state.end()));
        }
      }
    }
    if (kept == run) return absl::OkStatus();
    segments_.AddLive(run.segment, (kept ? int64_t{kept->length} : 0) - int64_t{run.length});
    if (kept) {
      update.PutRun(id, *kept);
    } else {
      update.DeleteRun(id, run.base);
    }
    return absl::OkStatus();
  });
}

absl::Status CountBytesGone(const LogTable& logs, Index& index) {
  absl::flat_hash_map<LogId, int64_t> gone;
  NARU_RETURN_IF_ERROR(index.VisitRuns([&](LogId id, const Run& run) {
    gone[id] += run.bytes_gone;
    return absl::OkStatus();
  }));
  IndexUpdate update;
  for (const auto& log : logs.All()) {
    absl::MutexLock lock(&log->mutex);
    if (log->bytes_gone == gone[log->id]) continue;
    log->bytes_gone = gone[log->id];
    update.PutLog(log->id, EncodeLogRow(*log));
  }
  return index.Commit(std::move(update));
}

absl::Status CheckRebuilt(const LogTable& logs, const Index& index) {
  for (const auto& log : logs.All()) {
    Offset at;
    Offset end;
    {
      absl::ReaderMutexLock lock(&log->mutex);
      at = log->state.start();
      end = log->state.end();
    }
    while (at < end) {
      NARU_ASSIGN_OR_RETURN(const auto runs, index.RunsFrom(log->id, at, end, 1'000));
      for (const Run& run : runs) {
        if (run.base > at) return Lost(log->id, at);
        at = run.next;
      }
      if (runs.empty()) return Lost(log->id, at);
    }
  }
  return absl::OkStatus();
}

}  // namespace naru
