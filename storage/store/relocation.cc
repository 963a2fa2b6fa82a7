// Giving space back, second half: what is alive in a segment that is mostly dead is copied to the head,
// sorted by log, so that the segment can go.
#include <algorithm>
#include <utility>

#include "storage/base/crc32c.h"
#include "storage/base/status.h"
#include "storage/segments/segment_scanner.h"
#include "storage/store/maintainer.h"
#include "storage/store/wait_for_op.h"

namespace naru {
namespace {

// Entry bytes moved with one entry: the appender writes it, and waits for it, while others wait for the
// appender. With 2 MiB the p99 of single records was twice as high while segments were emptied.
constexpr uint64_t kMoveBytesMax = uint64_t{256} << 10;
// Runs of one log that follow each other become one while it stays below this.
constexpr uint32_t kMergedBytesMax = uint32_t{1} << 20;
constexpr size_t kRunsPerMove = 4'096;
// The table of an entry that moves a single run, at most.
constexpr uint64_t kTableBytes = 256;
// Copying takes space before it gives any back: so many further segments must fit on the disk, one for what
// is copied, one for everybody else.
constexpr uint64_t kFreeSegmentsMin = 2;

void Merge(MovedRun& to, const Run& next) {
  to.run.next = next.next;
  to.run.length += next.length;
  to.run.batch_count += next.batch_count;
  to.run.bytes += next.bytes;
  to.run.bytes_gone += next.bytes_gone;
  to.run.max_timestamp_ms = std::max(to.run.max_timestamp_ms, next.max_timestamp_ms);
  to.run.max_timestamp_so_far_ms = next.max_timestamp_so_far_ms;
  to.run.append_time_ms = next.append_time_ms;
  to.old.push_back({next.base, next.segment, next.position});
}

absl::StatusOr<std::vector<MovedRun>> MovedRunsOf(const EntryHeader& header, std::string_view body) {
  if (header.type == EntryType::kMove) return DecodeMoveTable(body);
  NARU_ASSIGN_OR_RETURN(Rewrite rewrite, DecodeRewriteTable(body));
  return std::move(rewrite.runs);
}

}  // namespace

void Maintainer::Relocation::Leave(const absl::Status& why) {
  if (left++ == 0) problem = why;
}

std::vector<std::pair<LogId, Run>> Maintainer::LiveRuns(Relocation& relocation) {
  const Segment& segment = relocation.segment;
  std::vector<std::pair<LogId, Run>> live;
  const auto add = [&](LogId log, Offset base) {
    const auto run = parts_.index.RunAt(log, base);
    if (!run.ok()) return relocation.Leave(run.status());
    if (*run && (*run)->segment == segment.id()) live.emplace_back(log, **run);
  };
  SegmentScanner scanner(segment, parts_.segment_writer.salt(), kSegmentHeaderBytes, /*check_bodies=*/false);
  for (;;) {
    const auto found = scanner.Next();
    if (!found.ok()) relocation.Leave(found.status());
    if (!found.ok() || *found == SegmentScanner::Found::kEnd) break;
    if (*found == SegmentScanner::Found::kBad) {
      // What lies behind it stays.
      relocation.Leave(
          MakeError(Reason::kCorruptData,
                    absl::StrCat(segment.path(), " at ", scanner.position(), ": ", scanner.problem())));
      break;
    }
    const EntryHeader& header = scanner.header();
    if (header.type == EntryType::kBatch && header.Has(kRunStart)) {
      add(header.log, header.base_offset);
    } else if (header.type == EntryType::kMove || header.type == EntryType::kRewrite) {
      const auto moves = MovedRunsOf(header, scanner.body());
      if (!moves.ok()) {
        relocation.Leave(moves.status());
        continue;
      }
      for (const MovedRun& move : *moves) add(move.log, move.run.base);
    }
  }
  std::sort(live.begin(), live.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first : a.second.base < b.second.base;
  });
  // The same run can stand in a segment twice: as it came, and moved.
  live.erase(std::unique(live.begin(), live.end()), live.end());
  return live;
}

absl::Status Maintainer::CopyRun(const Segment& segment, LogId log, const Run& run, std::string& to) {
  const size_t begin = to.size();
  to.resize(begin + run.length);
  NARU_ASSIGN_OR_RETURN(const size_t read, segment.file().Read(run.position, to.data() + begin, run.length));
  std::string_view rest = std::string_view(to).substr(begin, read);
  EntryHeader header;
  while (!rest.empty()) {
    const bool good = ParseEntryHeader(rest.substr(0, kHeaderBytesMax), parts_.segment_writer.salt(),
                                       header) == HeaderCheck::kGood &&
                      header.log == log && header.entry_bytes() <= rest.size() &&
                      Crc32c(rest.substr(header.header_bytes(), header.body_length)) == header.body_crc;
    if (!good) {
      // Damage is not carried along: the run stays where it is, and readers are told.
      return MakeError(Reason::kCorruptData,
                       absl::StrCat(segment.path(), " at ", run.position + run.length - rest.size(),
                                    ": a batch fails its checksum"));
    }
    rest.remove_prefix(header.entry_bytes());
  }
  return absl::OkStatus();
}

absl::Status Maintainer::FlushMove(Relocation& relocation) {
  if (relocation.op.runs.empty()) return absl::OkStatus();
  const auto bytes = static_cast<int64_t>(relocation.op.entries.size());
  NARU_RETURN_IF_ERROR(WaitForOp(parts_.appender, std::exchange(relocation.op, MoveOp())));
  relocation.bytes += bytes;
  Count(parts_.counters.relocated_bytes, bytes);
  return PrepareSegment();
}

absl::Status Maintainer::AddToMove(LogId log, const Run& run, Relocation& relocation) {
  const uint64_t capacity = parts_.segment_writer.capacity();
  if (EntryBytesMax(run.length + kTableBytes) > capacity) {
    relocation.Leave(MakeError(Reason::kBatchTooLarge,
                               absl::StrCat("the run of log ", log.value(), " at offset ", run.base.value(),
                                            " has ", run.length, " bytes; a segment holds ", capacity)));
    return absl::OkStatus();
  }
  MoveOp& op = relocation.op;
  if (op.entries.size() + run.length > std::min(kMoveBytesMax, capacity / 2) ||
      op.runs.size() >= kRunsPerMove) {
    NARU_RETURN_IF_ERROR(FlushMove(relocation));
  }
  const uint64_t position = op.entries.size();
  if (const absl::Status copied = CopyRun(relocation.segment, log, run, op.entries); !copied.ok()) {
    op.entries.resize(position);
    relocation.Leave(copied);
    return absl::OkStatus();
  }
  MovedRun* last = op.runs.empty() ? nullptr : &op.runs.back();
  if (last != nullptr && last->log == log && last->run.next == run.base &&
      last->run.length + run.length <= kMergedBytesMax) {
    Merge(*last, run);
  } else {
    op.runs.push_back({log, run, {{run.base, run.segment, run.position}}});
    op.runs.back().run.position = position;
  }
  return absl::OkStatus();
}

absl::Status Maintainer::RelocateSegment(Relocation& relocation) {
  parts_.syncer.Drain();  // so that the index does not have what was given up
  for (const auto& [log, run] : LiveRuns(relocation)) {
    if (Stopping()) return ShuttingDown();
    NARU_RETURN_IF_ERROR(AddToMove(log, run, relocation));
  }
  return FlushMove(relocation);
}

std::optional<SegmentRow> Maintainer::FindSparse() const {
  const SegmentId newest = parts_.segments.Ids().back();
  const auto share = [](const SegmentRow& row) {
    return static_cast<double>(row.live_bytes) / static_cast<double>(std::max<int64_t>(row.used_bytes, 1));
  };
  std::optional<SegmentRow> sparsest;
  for (const SegmentRow& row : parts_.segment_table.Rows()) {
    if (row.id >= newest || row.live_bytes <= 0) continue;
    if (share(row) >= parts_.options.compact_below_live_share) continue;
    const auto tried = tried_.find(row.id);
    if (tried != tried_.end() && tried->second == row.live_bytes) continue;
    if (!sparsest || share(row) < share(*sparsest)) sparsest = row;
  }
  return sparsest;
}

bool Maintainer::HasRoomToRelocate() const {
  const auto space = parts_.files.Space(parts_.options.directory);
  return space.ok() &&
         space->available_bytes >= kFreeSegmentsMin * static_cast<uint64_t>(parts_.options.segment_bytes);
}

// About one segment's worth in a round: then what was emptied is removed, and other duties have their turn.
absl::Status Maintainer::RelocateSparse() {
  std::erase_if(tried_, [this](const auto& tried) { return !parts_.segment_table.Find(tried.first); });
  for (int64_t bytes = 0; bytes < parts_.options.segment_bytes && !Stopping();) {
    const auto sparse = FindSparse();
    if (!sparse) break;
    const auto segment = parts_.segments.Find(sparse->id);
    if (segment == nullptr) {
      // Nothing to copy; and no reason to keep the others from it.
      tried_[sparse->id] = sparse->live_bytes;
      continue;
    }
    if (!HasRoomToRelocate()) {
      Count(parts_.counters.relocations_held_off);
      break;
    }
    Relocation relocation{*segment};
    const absl::Status moved = RelocateSegment(relocation);
    if (absl::IsUnavailable(moved)) break;  // the disk is full, or the store stops
    NARU_RETURN_IF_ERROR(moved);
    if (relocation.left > 0) {
      parts_.events.Write(Severity::kError, "relocation_failed",
                          {{"segment", sparse->id.value()},
                           {"left", relocation.left},
                           {"error", relocation.problem.ToString()}});
    }
    // When all that was handed over took effect, the rest cannot be moved. When not, something else changed
    // the runs meanwhile, and another round may do better; but not if nothing at all came of this one.
    const auto row = parts_.segment_table.Find(sparse->id);
    const bool as_planned = row && row->live_bytes == sparse->live_bytes - relocation.bytes;
    if (row && row->live_bytes > 0) tried_[sparse->id] = as_planned ? row->live_bytes : sparse->live_bytes;
    bytes += relocation.bytes;
    NARU_RETURN_IF_ERROR(KeepUp());
  }
  return absl::OkStatus();
}

}  // namespace naru
