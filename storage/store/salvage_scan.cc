#include "storage/store/salvage_scan.h"

#include <algorithm>
#include <utility>

#include "storage/base/crc32c.h"
#include "storage/base/status.h"
#include "storage/log/log_state.h"

namespace naru {
namespace {

constexpr size_t kChunkBytes = size_t{1} << 20;

}  // namespace

void SalvageScan::Damage(const Segment& segment, uint64_t position, std::string_view what) {
  report_.damage.push_back(absl::StrCat(segment.path(), " at ", position, ": ", what));
}

absl::Status SalvageScan::OpenAll() {
  NARU_ASSIGN_OR_RETURN(const auto names, files_.List(directory_ + "/segments"));
  bool salted = false;
  for (const std::string& name : names) {
    const auto id = SegmentIdFromFileName(name);
    if (!id) continue;
    const std::string path = segments_.PathOf(*id);
    NARU_ASSIGN_OR_RETURN(auto file, files_.OpenForRead(path));
    NARU_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
    auto segment = std::make_shared<Segment>(*id, path, std::move(file), size);
    std::string block(kSegmentHeaderBytes, '\0');
    NARU_ASSIGN_OR_RETURN(const size_t read, segment->file().Read(0, block.data(), block.size()));
    block.resize(read);
    const auto header = DecodeSegmentHeader(block);
    if (absl::IsInvalidArgument(header.status())) return header.status();
    if (!header.ok()) Damage(*segment, 0, Std(header.status().message()));
    if (header.ok() && *header) {
      salt_ = (*header)->salt;
      salted = true;
    }
    segment_bytes_ = std::max(segment_bytes_, size);
    segments_.Add(std::move(segment));
  }
  if (salted) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(directory_, "/segments: no segment has a good header"));
}

absl::Status SalvageScan::Run() {
  NARU_RETURN_IF_ERROR(OpenAll());
  for (const SegmentId id : segments_.Ids()) {
    ++report_.segments_read;
    NARU_RETURN_IF_ERROR(ScanSegment(*segments_.Find(id)));
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> SalvageScan::FindEntry(const Segment& segment, uint64_t position) const {
  std::string chunk(kChunkBytes + kHeaderBytesMax, '\0');
  EntryHeader header;
  for (uint64_t at = position; at < segment.size_bytes(); at += kChunkBytes) {
    NARU_ASSIGN_OR_RETURN(const size_t read, segment.file().Read(at, chunk.data(), chunk.size()));
    const std::string_view bytes = std::string_view(chunk).substr(0, read);
    for (size_t i = 0; i < std::min(read, kChunkBytes); i += kEntryAlignment) {
      if (ParseEntryHeader(bytes.substr(i, kHeaderBytesMax), salt_, header) == HeaderCheck::kGood)
        return at + i;
    }
  }
  return segment.size_bytes();
}

absl::Status SalvageScan::ScanSegment(const Segment& segment) {
  uint64_t position = kSegmentHeaderBytes;
  while (position < segment.size_bytes()) {
    SegmentScanner scanner(segment, salt_, position);
    absl::StatusOr<SegmentScanner::Found> found = scanner.Next();
    while (found.ok() && *found == SegmentScanner::Found::kEntry) {
      NARU_RETURN_IF_ERROR(Take(scanner.header(), scanner.body(), segment, scanner.position()));
      found = scanner.Next();
    }
    position = scanner.position();
    // Where one entry cannot be read there may be more behind it, behind zeros as well.
    const bool bad = !found.ok() || *found == SegmentScanner::Found::kBad;
    const auto next = FindEntry(segment, position + kEntryAlignment);
    if (!next.ok()) {
      Damage(segment, position, next.status().ToString());
      return absl::OkStatus();
    }
    if (bad || *next < segment.size_bytes()) {
      Damage(segment, position, found.ok() ? (bad ? scanner.problem() : "zeros") : found.status().ToString());
      report_.bytes_skipped += static_cast<int64_t>(*next - position);
      if (bad) ++report_.batches_damaged;
    }
    position = *next;
  }
  return absl::OkStatus();
}

absl::Status SalvageScan::Take(const EntryHeader& header, std::string_view body, const Segment& segment,
                               uint64_t position) {
  absl::Status taken;
  switch (header.type) {
    case EntryType::kBatch:
      TakeBatch(header, segment.id(), position);
      break;
    case EntryType::kCreateLogs:
    case EntryType::kDeleteLogs: {
      const auto ids = DecodeLogIds(body);
      taken = ids.status();
      if (!ids.ok()) break;
      for (const LogId id : *ids) {
        if (header.type == EntryType::kCreateLogs) {
          if (!dead_.contains(id)) logs_[id];
        } else {
          Forget(id);
        }
      }
      break;
    }
    case EntryType::kMoveStarts: {
      const auto moves = DecodeStartMoves(body);
      taken = moves.status();
      if (!moves.ok()) break;
      for (const LogStartMove& move : *moves) {
        const auto log = logs_.find(move.log);
        if (log == logs_.end()) continue;
        log->second.start = std::max(log->second.start, move.start);
        log->second.end = std::max(log->second.end, move.start);
      }
      break;
    }
    case EntryType::kTruncate:
      taken = TakeTruncation(body);
      break;
    case EntryType::kMove:
    case EntryType::kRewrite:
      taken = TakeMove(header, body, segment.id(), position);
      break;
    case EntryType::kSnapshot:
      taken = TakeSnapshot(body);
      break;
    case EntryType::kBeginEpoch:
    case EntryType::kReclaim:
    case EntryType::kMark:
    case EntryType::kRemoveSegments:
      break;
  }
  if (!taken.ok()) Damage(segment, position, Std(taken.message()));
  return absl::OkStatus();
}

void SalvageScan::Forget(LogId log) {
  logs_.erase(log);
  dead_.insert(log);
}

void SalvageScan::TakeBatch(const EntryHeader& header, SegmentId segment, uint64_t position) {
  if (dead_.contains(header.log)) return;
  SalvagedLog& log = logs_[header.log];
  // It was appended at the log's end: whatever reaches further had been truncated.
  MakeRoom(log, header.base_offset, Offset(INT64_MAX));
  PutPiece(log, header, segment, position);
  log.end = header.next_offset();
}

void SalvageScan::PutPiece(SalvagedLog& log, const EntryHeader& header, SegmentId segment,
                           uint64_t position) {
  batch_bytes_max_ = std::max<uint64_t>(batch_bytes_max_, header.body_length);
  auto at = log.pieces.upper_bound(header.base_offset);
  if (at != log.pieces.begin()) {
    Piece& before = std::prev(at)->second;
    if (before.next == header.base_offset && before.segment == segment &&
        before.position + before.length == position) {
      before.next = header.next_offset();
      before.length += header.entry_bytes();
      ++before.batches;
      before.records += header.records();
      return;
    }
  }
  log.pieces[header.base_offset] = {header.next_offset(), segment, position,
                                    header.entry_bytes(), 1,       header.records()};
}

void SalvageScan::MakeRoom(SalvagedLog& log, Offset base, Offset next) {
  auto at = log.pieces.upper_bound(base);
  if (at != log.pieces.begin() && std::prev(at)->second.next > base) --at;
  while (at != log.pieces.end() && at->first < next) {
    if (at->first >= base) {
      at = log.pieces.erase(at);
      continue;
    }
    // Keep what lies before `base`: walk its entries.
    const Piece whole = at->second;
    at = log.pieces.erase(at);
    const auto segment = segments_.Find(whole.segment);
    SegmentScanner scanner(*segment, salt_, whole.position, /*check_bodies=*/false);
    while (scanner.next_position() < whole.position + whole.length) {
      const auto found = scanner.Next();
      if (!found.ok() || *found != SegmentScanner::Found::kEntry || scanner.header().next_offset() > base)
        break;
      PutPiece(log, scanner.header(), whole.segment, scanner.position());
    }
  }
}

absl::Status SalvageScan::TakeMove(const EntryHeader& header, std::string_view body, SegmentId segment,
                                   uint64_t position) {
  std::vector<MovedRun> moves;
  if (header.type == EntryType::kMove) {
    NARU_ASSIGN_OR_RETURN(moves, DecodeMoveTable(body));
  } else {
    NARU_ASSIGN_OR_RETURN(auto rewrite, DecodeRewriteTable(body));
    moves = std::move(rewrite.runs);
  }
  for (const MovedRun& move : moves) {
    if (dead_.contains(move.log)) continue;
    SalvagedLog& log = logs_[move.log];
    for (uint64_t at = move.run.position, end = at + move.run.length; at < end;) {
      EntryHeader batch;
      if (ParseEntryHeader(body.substr(at, kHeaderBytesMax), salt_, batch) != HeaderCheck::kGood) {
        return absl::DataLossError("a moved batch has a bad header");
      }
      MakeRoom(log, batch.base_offset, batch.next_offset());
      PutPiece(log, batch, segment, position + header.header_bytes() + at);
      log.end = std::max(log.end, batch.next_offset());
      at += batch.entry_bytes();
    }
  }
  return absl::OkStatus();
}

absl::Status SalvageScan::TakeTruncation(std::string_view body) {
  NARU_ASSIGN_OR_RETURN(const Truncation truncation, DecodeTruncation(body));
  NARU_ASSIGN_OR_RETURN(const LogState state, LogState::Decode(truncation.state));
  if (dead_.contains(truncation.log)) return absl::OkStatus();
  SalvagedLog& log = logs_[truncation.log];
  MakeRoom(log, truncation.end, Offset(INT64_MAX));
  log.start = state.start();
  log.end = state.end();
  return absl::OkStatus();
}

absl::Status SalvageScan::TakeSnapshot(std::string_view body) {
  NARU_ASSIGN_OR_RETURN(const SnapshotPiece piece, DecodeSnapshotPiece(body));
  for (const DeadLogs& dead : piece.dead) {
    for (auto at = logs_.lower_bound(dead.first); at != logs_.end() && at->first <= dead.last;) {
      at = logs_.erase(at);
    }
  }
  for (const SnapshotLog& row : piece.logs) {
    NARU_ASSIGN_OR_RETURN(const LogState state, LogState::DecodeHead(row.head));
    SalvagedLog& log = logs_[row.log];
    log.start = state.start();
    log.end = state.end();
    MakeRoom(log, state.end(), Offset(INT64_MAX));
  }
  return absl::OkStatus();
}

}  // namespace naru
