// What the appender does besides appending.
#include <algorithm>
#include <iterator>
#include <utility>

#include "storage/base/check.h"
#include "storage/base/status.h"
#include "storage/store/appender.h"
#include "storage/store/snapshot.h"

namespace naru {
namespace {

// Logs in one entry, so that it stays below any segment's margin.
constexpr size_t kLogsPerEntry = 1'024;

template <typename T, typename Encode>
std::vector<std::string> InPieces(const std::vector<T>& items, Encode encode) {
  std::vector<std::string> bodies;
  for (size_t at = 0; at < items.size(); at += kLogsPerEntry) {
    const size_t end = std::min(items.size(), at + kLogsPerEntry);
    bodies.push_back(encode(std::vector<T>(items.begin() + static_cast<std::ptrdiff_t>(at),
                                           items.begin() + static_cast<std::ptrdiff_t>(end))));
  }
  return bodies;
}

std::vector<Group::Finished> One(LogStore::Done done) {
  std::vector<Group::Finished> finished;
  finished.push_back({std::move(done), absl::OkStatus()});
  return finished;
}

}  // namespace

void Appender::DoCreates(Ops& ops) {
  std::vector<LogId> made;
  std::vector<Group::Finished> finished;
  for (Op& op : ops) {
    auto& create = std::get<CreateOp>(op);
    absl::Status status;
    for (const LogId id : create.logs) {
      if (id.value() == 0) {
        status = InvalidField("log", "0", "ids from 1 on are allowed");
      } else if (parts_.logs.IsDead(id)) {
        status = MakeError(Reason::kInvalidTopicState,
                           absl::StrCat("log: ", id.value(), " was deleted; its id is never used again"));
      }
      if (!status.ok()) break;
    }
    if (!status.ok()) {
      create.done(std::move(status));
      continue;
    }
    for (const LogId id : create.logs) {
      if (parts_.logs.Find(id) == nullptr) made.push_back(id);
    }
    finished.push_back({std::move(create.done), absl::OkStatus()});
  }
  if (finished.empty()) return;
  WriteControl(EntryType::kCreateLogs, InPieces(made, EncodeLogIds), std::move(finished), {});
}

void Appender::DoDeletes(Ops& ops) {
  std::vector<LogId> gone;
  std::vector<Group::Finished> finished;
  for (Op& op : ops) {
    auto& remove = std::get<DeleteOp>(op);
    for (const LogId id : remove.logs) {
      if (parts_.logs.Find(id) != nullptr) gone.push_back(id);
    }
    finished.push_back({std::move(remove.done), absl::OkStatus()});
  }
  std::sort(gone.begin(), gone.end());
  gone.erase(std::unique(gone.begin(), gone.end()), gone.end());
  std::vector<std::shared_ptr<Log>> touched;
  touched.reserve(gone.size());
  for (const LogId id : gone) touched.push_back(parts_.logs.Find(id));
  WriteControl(EntryType::kDeleteLogs, InPieces(gone, EncodeLogIds), std::move(finished), touched);
  for (const auto& log : touched) {
    absl::MutexLock lock(&log->mutex);
    parts_.cache.Truncate(*log, Offset(0));
  }
}

void Appender::DoEpochs(Ops& ops) {
  std::vector<EpochBegin> begun;
  std::vector<Group::Finished> finished;
  absl::flat_hash_map<LogId, LeaderEpoch> pending;
  for (Op& op : ops) {
    auto& epoch = std::get<EpochOp>(op);
    absl::Status status;
    {
      absl::ReaderMutexLock lock(&epoch.log->mutex);
      // As it will be when the ops before this one are done.
      LogState ahead;
      const auto earlier = pending.find(epoch.log->id);
      if (earlier != pending.end()) ahead.BeginEpoch(earlier->second);
      const LogState& state = earlier != pending.end() ? ahead : epoch.log->state;
      status = epoch.log->deleted ? LogNotFound(epoch.log->id) : state.CheckBeginEpoch(epoch.epoch);
      if (status.ok() && epoch.epoch > state.epochs().current()) {
        begun.push_back({epoch.log->id, epoch.epoch});
        pending[epoch.log->id] = epoch.epoch;
      }
    }
    if (status.ok()) {
      finished.push_back({std::move(epoch.done), absl::OkStatus()});
    } else {
      epoch.done(std::move(status));
    }
  }
  if (finished.empty()) return;
  WriteControl(EntryType::kBeginEpoch, InPieces(begun, EncodeEpochs), std::move(finished), {});
}

absl::StatusOr<std::optional<LogStartMove>> Appender::PlanStart(const StartOp& op) const {
  {
    absl::ReaderMutexLock lock(&op.log->mutex);
    if (op.log->deleted) return LogNotFound(op.log->id);
    if (op.planned) {
      const bool holds = op.truncations == op.log->truncations && op.start > op.log->state.start();
      if (!holds) return absl::AbortedError("the log changed since its start was planned");
      return op.planned;
    }
  }
  return parts_.cuts.PlanStart(*op.log, op.start);
}

void Appender::DoStarts(Ops& ops) {
  std::vector<LogStartMove> moves;
  std::vector<std::shared_ptr<Log>> touched;
  std::vector<Group::Finished> finished;
  for (Op& op : ops) {
    auto& start = std::get<StartOp>(op);
    auto planned = PlanStart(start);
    if (!planned.ok()) {
      start.done(std::move(planned).status());
      continue;
    }
    if (planned->has_value()) {
      moves.push_back(**planned);
      touched.push_back(start.log);
    }
    finished.push_back({std::move(start.done), absl::OkStatus()});
  }
  if (finished.empty()) return;
  WriteControl(EntryType::kMoveStarts, InPieces(moves, EncodeStartMoves), std::move(finished),
               std::move(touched));
}

void Appender::DoTruncate(TruncateOp op) {
  {
    absl::ReaderMutexLock lock(&op.log->mutex);
    if (op.log->deleted) return op.done(LogNotFound(op.log->id));
  }
  std::vector<std::string> bodies;
  if (op.reset) {
    bodies.push_back(EncodeTruncation(parts_.cuts.PlanReset(*op.log, op.end, *op.reset)));
  } else {
    auto planned = parts_.cuts.PlanTruncation(*op.log, op.end);
    if (!planned.ok()) return op.done(std::move(planned).status());
    if (planned->has_value()) bodies.push_back(EncodeTruncation(**planned));
  }
  WriteControl(EntryType::kTruncate, std::move(bodies), One(std::move(op.done)), {op.log});
  // Until the index has forgotten the old runs, nothing new may stand at their offsets: a reader would find
  // both.
  parts_.syncer.Drain();
  absl::MutexLock lock(&op.log->mutex);
  parts_.cache.Truncate(*op.log, op.reset ? Offset(0) : op.log->state.end());
}

void Appender::DoReclaim(ReclaimOp op) {
  WriteControl(EntryType::kReclaim, {EncodeReclaims(op.reclaims)}, One(std::move(op.done)), {});
}

void Appender::DoMove(MoveOp op) {
  // Those that came too late are left out: a rebuild takes what an entry says for true.
  std::vector<MovedRun> current;
  for (MovedRun& move : op.runs) {
    const auto runs = parts_.fold.RunsToMove(move);
    if (!runs.ok()) return op.done(runs.status());
    if (!runs->empty()) current.push_back(std::move(move));
  }
  if (current.empty()) return op.done(absl::OkStatus());
  op.runs = std::move(current);
  // The older kind of entry does not say what is gone of runs.
  if (std::any_of(op.runs.begin(), op.runs.end(),
                  [](const MovedRun& move) { return move.run.bytes_gone != 0; })) {
    return WriteRewrite({std::move(op.runs), {}}, op.entries, std::move(op.done));
  }
  std::string body = EncodeMoveTable(std::move(op.runs));
  body.append(op.entries);
  WriteControl(EntryType::kMove, {std::move(body)}, One(std::move(op.done)), {});
}

absl::StatusOr<bool> Appender::Holds(const RewriteOp::Part& part) const {
  {
    absl::ReaderMutexLock lock(&part.log->mutex);
    if (part.log->deleted || part.log->truncations != part.truncations) return false;
  }
  Offset planned(0);
  for (const MovedRun& move : part.runs) {
    // Of a run that is named twice the second plan would take away what the first put there.
    NARU_CHECK(move.run.base >= planned);
    planned = move.run.next;
    NARU_ASSIGN_OR_RETURN(const auto runs, parts_.fold.RunsToMove(move));
    if (runs.empty()) return false;
  }
  return true;
}

void Appender::DoRewrite(RewriteOp op) {
  // What came too late is left out: a rebuild takes what an entry says for true.
  Rewrite rewrite;
  for (RewriteOp::Part& part : op.parts) {
    const auto holds = Holds(part);
    if (!holds.ok()) return op.done(holds.status());
    if (!*holds) {
      op.late->push_back(part.log->id);
      continue;
    }
    std::move(part.runs.begin(), part.runs.end(), std::back_inserter(rewrite.runs));
    if (part.compacted) rewrite.compacted.push_back({part.log->id, part.compacted->Encode()});
  }
  if (rewrite.runs.empty() && rewrite.compacted.empty()) return op.done(absl::OkStatus());
  if (rewrite.runs.empty()) op.entries.clear();
  WriteRewrite(std::move(rewrite), op.entries, std::move(op.done));
}

void Appender::WriteRewrite(Rewrite rewrite, std::string_view entries, LogStore::Done done) {
  if (absl::Status format = parts_.writer.EnsureNewestFormat(); !format.ok()) return done(std::move(format));
  std::string body = EncodeRewriteTable(std::move(rewrite));
  body.append(entries);
  WriteControl(EntryType::kRewrite, {std::move(body)}, One(std::move(done)), {});
}

void Appender::DoSnapshot(SnapshotOp op) {
  // What is there of a snapshot without its end is wasted: none is begun that may find no room for it.
  const uint64_t whole = std::min(SnapshotBytesMax(parts_.logs), parts_.writer.capacity());
  absl::Status written = parts_.writer.EnsureRoom(whole, parts_.writer.margin() / 4);
  if (!written.ok()) return op.done(std::move(written));
  EncodeSnapshot(parts_.logs, [&](std::string piece, uint8_t flags) {
    *op.bytes += static_cast<int64_t>(piece.size());
    written = parts_.writer.EnsureRoom(EntryBytesMax(piece.size()));
    if (!written.ok()) return false;
    auto group = std::make_unique<Group>();
    const absl::Cord body(std::move(piece));
    parts_.writer.AddControl(EntryType::kSnapshot, flags, body, *group);
    if (parts_.writer.Write(*group)) {
      Submit(std::move(group));
    } else {
      written = Fatal::Error();
    }
    return written.ok();
  });
  if (!written.ok()) return op.done(std::move(written));
  WriteControl(EntryType::kSnapshot, {}, One(std::move(op.done)), {});
}

void Appender::DoRemove(RemoveOp op) {
  std::vector<SegmentId> unneeded;
  for (const SegmentId id : op.segments) {
    const auto row = parts_.segment_table.Find(id);
    if (row && row->live_bytes == 0 && id < parts_.segment_writer.segment() &&
        row->last_sequence < parts_.fold.snapshot_sequence()) {
      unneeded.push_back(id);
    }
  }
  *op.removed = unneeded;
  std::vector<std::string> bodies;
  if (!unneeded.empty()) bodies.push_back(EncodeSegmentIds(unneeded));
  WriteControl(EntryType::kRemoveSegments, std::move(bodies), One(std::move(op.done)), {});
}

}  // namespace naru
