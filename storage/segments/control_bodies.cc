#include "storage/segments/control_bodies.h"

#include <algorithm>
#include <utility>

#include "storage/base/coding.h"
#include "storage/base/status.h"

namespace naru {
namespace {

// How a truncation says that its end cuts a run.
constexpr uint8_t kCutPlain = 1;
constexpr uint8_t kCutRewritten = 2;

absl::Status Malformed(const char* what) {
  return MakeError(Reason::kCorruptData, absl::StrCat("the body of a ", what, " entry is malformed"));
}

void AppendBytes(std::string& to, std::string_view bytes) {
  AppendLittle<uint32_t>(to, static_cast<uint32_t>(bytes.size()));
  to.append(bytes);
}
std::string TakeBytes(LittleReader& from) { return std::string(from.TakeBytes(from.Take<uint32_t>())); }

// A count, then the items.
template <typename T, typename Put>
void AppendList(std::string& to, const std::vector<T>& items, Put put) {
  AppendLittle<uint32_t>(to, static_cast<uint32_t>(items.size()));
  for (const T& item : items) put(to, item);
}
template <typename T, typename Take>
std::vector<T> TakeList(LittleReader& from, Take take) {
  const auto count = from.Take<uint32_t>();
  std::vector<T> items;
  // Grows with what is really there, whatever the count says.
  for (uint32_t i = 0; i < count && from.ok(); ++i) items.push_back(take(from));
  return items;
}
// The list is all there is.
template <typename T, typename Take>
absl::StatusOr<std::vector<T>> DecodeList(std::string_view body, const char* what, Take take) {
  LittleReader from(body);
  std::vector<T> items = TakeList<T>(from, take);
  if (!from.done()) return Malformed(what);
  return items;
}

void PutLog(std::string& to, LogId log) { AppendLittle<uint64_t>(to, log.value()); }
LogId TakeLog(LittleReader& from) { return LogId(from.Take<uint64_t>()); }
void PutOffset(std::string& to, Offset offset) { AppendLittle<int64_t>(to, offset.value()); }
Offset TakeOffset(LittleReader& from) { return Offset(from.Take<int64_t>()); }
void PutSegment(std::string& to, SegmentId id) { AppendLittle<uint64_t>(to, id.value()); }
SegmentId TakeSegment(LittleReader& from) { return SegmentId(from.Take<uint64_t>()); }

void PutRun(std::string& to, const Run& run) {
  PutOffset(to, run.base);
  EncodeRun(run, to);
}
Run TakeRun(LittleReader& from) {
  const Offset base = TakeOffset(from);
  return DecodeRun(from, base);
}

void PutRewrittenRun(std::string& to, const Run& run) {
  PutOffset(to, run.base);
  EncodeRewrittenRun(run, to);
}
Run TakeRewrittenRun(LittleReader& from) {
  const Offset base = TakeOffset(from);
  return DecodeRewrittenRun(from, base);
}

template <typename Put>
void PutMoved(std::string& to, const MovedRun& moved, Put put_run) {
  PutLog(to, moved.log);
  put_run(to, moved.run);
  AppendList(to, moved.old, [](std::string& out, const MovedRun::Old& old) {
    PutOffset(out, old.base);
    PutSegment(out, old.segment);
    AppendLittle<uint64_t>(out, old.position);
  });
}
template <typename Take>
MovedRun TakeMoved(LittleReader& from, Take take_run) {
  MovedRun moved;
  moved.log = TakeLog(from);
  moved.run = take_run(from);
  moved.old = TakeList<MovedRun::Old>(from, [](LittleReader& in) {
    MovedRun::Old old;
    old.base = TakeOffset(in);
    old.segment = TakeSegment(in);
    old.position = in.Take<uint64_t>();
    return old;
  });
  return moved;
}

void PutMovedRun(std::string& to, const MovedRun& moved) { PutMoved(to, moved, PutRun); }
MovedRun TakeMovedRun(LittleReader& from) { return TakeMoved(from, TakeRun); }

void PutRewrite(std::string& to, const Rewrite& rewrite) {
  AppendList(to, rewrite.runs,
             [](std::string& out, const MovedRun& moved) { PutMoved(out, moved, PutRewrittenRun); });
  AppendList(to, rewrite.compacted, [](std::string& out, const Compacted& compacted) {
    PutLog(out, compacted.log);
    AppendBytes(out, compacted.state);
  });
}

size_t Padded(size_t bytes) { return (bytes + kEntryAlignment - 1) / kEntryAlignment * kEntryAlignment; }

// The runs lie within the body.
bool RunsFit(const std::vector<MovedRun>& runs, std::string_view body) {
  return std::all_of(runs.begin(), runs.end(), [&](const MovedRun& moved) {
    return moved.run.position <= body.size() && body.size() - moved.run.position >= moved.run.length;
  });
}

}  // namespace

std::string EncodeLogIds(const std::vector<LogId>& logs) {
  std::string to;
  AppendList(to, logs, PutLog);
  return to;
}
absl::StatusOr<std::vector<LogId>> DecodeLogIds(std::string_view body) {
  return DecodeList<LogId>(body, "log list", TakeLog);
}

std::string EncodeStartMoves(const std::vector<LogStartMove>& moves) {
  std::string to;
  AppendList(to, moves, [](std::string& out, const LogStartMove& move) {
    PutLog(out, move.log);
    PutOffset(out, move.start);
    AppendLittle<int64_t>(out, move.bytes_before);
  });
  return to;
}
absl::StatusOr<std::vector<LogStartMove>> DecodeStartMoves(std::string_view body) {
  return DecodeList<LogStartMove>(body, "log start", [](LittleReader& in) {
    LogStartMove move;
    move.log = TakeLog(in);
    move.start = TakeOffset(in);
    move.bytes_before = in.Take<int64_t>();
    return move;
  });
}

std::string EncodeTruncation(const Truncation& truncation) {
  std::string to;
  PutLog(to, truncation.log);
  PutOffset(to, truncation.end);
  AppendLittle<int64_t>(to, truncation.bytes_start);
  AppendLittle<int64_t>(to, truncation.bytes_end);
  AppendBytes(to, truncation.state);
  const bool rewritten = truncation.cut && truncation.cut->bytes_gone != 0;
  AppendLittle<uint8_t>(to, truncation.cut ? (rewritten ? kCutRewritten : kCutPlain) : 0);
  if (rewritten) {
    PutRewrittenRun(to, *truncation.cut);
  } else if (truncation.cut) {
    PutRun(to, *truncation.cut);
  }
  return to;
}
absl::StatusOr<Truncation> DecodeTruncation(std::string_view body) {
  LittleReader from(body);
  Truncation truncation;
  truncation.log = TakeLog(from);
  truncation.end = TakeOffset(from);
  truncation.bytes_start = from.Take<int64_t>();
  truncation.bytes_end = from.Take<int64_t>();
  truncation.state = TakeBytes(from);
  const auto cut = from.Take<uint8_t>();
  if (cut == kCutPlain) truncation.cut = TakeRun(from);
  if (cut == kCutRewritten) truncation.cut = TakeRewrittenRun(from);
  if (!from.done() || cut > kCutRewritten) return Malformed("truncate");
  return truncation;
}

std::string EncodeEpochs(const std::vector<EpochBegin>& epochs) {
  std::string to;
  AppendList(to, epochs, [](std::string& out, const EpochBegin& begin) {
    PutLog(out, begin.log);
    AppendLittle<int32_t>(out, begin.epoch.value());
  });
  return to;
}
absl::StatusOr<std::vector<EpochBegin>> DecodeEpochs(std::string_view body) {
  return DecodeList<EpochBegin>(body, "epoch", [](LittleReader& in) {
    EpochBegin begin;
    begin.log = TakeLog(in);
    begin.epoch = LeaderEpoch(in.Take<int32_t>());
    return begin;
  });
}

std::string EncodeReclaims(const std::vector<Reclaim>& reclaims) {
  std::string to;
  AppendList(to, reclaims, [](std::string& out, const Reclaim& reclaim) {
    PutLog(out, reclaim.log);
    PutOffset(out, reclaim.to);
  });
  return to;
}
absl::StatusOr<std::vector<Reclaim>> DecodeReclaims(std::string_view body) {
  return DecodeList<Reclaim>(body, "reclaim", [](LittleReader& in) {
    Reclaim reclaim;
    reclaim.log = TakeLog(in);
    reclaim.to = TakeOffset(in);
    return reclaim;
  });
}

std::string EncodeMoveTable(std::vector<MovedRun> runs) {
  std::string to;
  AppendList(to, runs, PutMovedRun);
  const size_t table_bytes = Padded(to.size());
  for (MovedRun& moved : runs) moved.run.position += table_bytes;
  to.clear();
  AppendList(to, runs, PutMovedRun);
  to.resize(table_bytes, '\0');
  return to;
}
absl::StatusOr<std::vector<MovedRun>> DecodeMoveTable(std::string_view body) {
  LittleReader from(body);
  std::vector<MovedRun> runs = TakeList<MovedRun>(from, TakeMovedRun);
  if (!from.ok() || !RunsFit(runs, body)) return Malformed("move");
  return runs;
}

std::string EncodeRewriteTable(Rewrite rewrite) {
  std::string to;
  PutRewrite(to, rewrite);
  const size_t table_bytes = Padded(to.size());
  for (MovedRun& moved : rewrite.runs) moved.run.position += table_bytes;
  to.clear();
  PutRewrite(to, rewrite);
  to.resize(table_bytes, '\0');
  return to;
}
absl::StatusOr<Rewrite> DecodeRewriteTable(std::string_view body) {
  LittleReader from(body);
  Rewrite rewrite;
  rewrite.runs = TakeList<MovedRun>(from, [](LittleReader& in) { return TakeMoved(in, TakeRewrittenRun); });
  rewrite.compacted = TakeList<Compacted>(from, [](LittleReader& in) {
    Compacted compacted;
    compacted.log = TakeLog(in);
    compacted.state = TakeBytes(in);
    return compacted;
  });
  if (!from.ok() || !RunsFit(rewrite.runs, body)) return Malformed("rewrite");
  return rewrite;
}

std::string EncodeSegmentIds(const std::vector<SegmentId>& segments) {
  std::string to;
  AppendList(to, segments, PutSegment);
  return to;
}
absl::StatusOr<std::vector<SegmentId>> DecodeSegmentIds(std::string_view body) {
  return DecodeList<SegmentId>(body, "segment list", TakeSegment);
}

std::string EncodeSnapshotPiece(const SnapshotPiece& piece) {
  std::string to;
  AppendList(to, piece.dead, [](std::string& out, const DeadLogs& dead) {
    PutLog(out, dead.first);
    PutLog(out, dead.last);
  });
  AppendList(to, piece.logs, [](std::string& out, const SnapshotLog& log) {
    PutLog(out, log.log);
    PutOffset(out, log.reclaimed_to);
    AppendLittle<int64_t>(out, log.bytes_start);
    AppendLittle<int64_t>(out, log.bytes_end);
    AppendBytes(out, log.head);
  });
  AppendList(to, piece.producers, [](std::string& out, const SnapshotProducer& producer) {
    PutLog(out, producer.log);
    AppendBytes(out, producer.entry);
  });
  // Where nothing was compacted, the bytes are those of format version 1.
  if (piece.compactions.empty()) return to;
  AppendList(to, piece.compactions, [](std::string& out, const SnapshotCompaction& compaction) {
    PutLog(out, compaction.log);
    AppendLittle<int64_t>(out, compaction.bytes_gone);
    AppendBytes(out, compaction.state);
  });
  return to;
}
absl::StatusOr<SnapshotPiece> DecodeSnapshotPiece(std::string_view body) {
  LittleReader from(body);
  SnapshotPiece piece;
  piece.dead = TakeList<DeadLogs>(from, [](LittleReader& in) {
    DeadLogs dead;
    dead.first = TakeLog(in);
    dead.last = TakeLog(in);
    return dead;
  });
  piece.logs = TakeList<SnapshotLog>(from, [](LittleReader& in) {
    SnapshotLog log;
    log.log = TakeLog(in);
    log.reclaimed_to = TakeOffset(in);
    log.bytes_start = in.Take<int64_t>();
    log.bytes_end = in.Take<int64_t>();
    log.head = TakeBytes(in);
    return log;
  });
  piece.producers = TakeList<SnapshotProducer>(from, [](LittleReader& in) {
    SnapshotProducer producer;
    producer.log = TakeLog(in);
    producer.entry = TakeBytes(in);
    return producer;
  });
  if (from.ok() && from.remaining() > 0) {
    piece.compactions = TakeList<SnapshotCompaction>(from, [](LittleReader& in) {
      SnapshotCompaction compaction;
      compaction.log = TakeLog(in);
      compaction.bytes_gone = in.Take<int64_t>();
      compaction.state = TakeBytes(in);
      return compaction;
    });
  }
  if (!from.done()) return Malformed("snapshot");
  return piece;
}

}  // namespace naru
