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

// Entry bytes moved with one entry: the appender writes it while others wait.
constexpr uint64_t kMoveBytesMax = uint64_t{2} << 20;
// Runs of one log that follow each other become one while it stays below this.
constexpr uint32_t kMergedBytesMax = uint32_t{1} << 20;
constexpr size_t kRunsPerMove = 4'096;

void Merge(MovedRun& to, const Run& next) {
  to.run.next = next.next;
  to.run.length += next.length;
  to.run.batch_count += next.batch_count;
  to.run.bytes += next.bytes;
  to.run.max_timestamp_ms = std::max(to.run.max_timestamp_ms, next.max_timestamp_ms);
  to.run.max_timestamp_so_far_ms = next.max_timestamp_so_far_ms;
  to.run.append_time_ms = next.append_time_ms;
  to.old.push_back({next.base, next.segment, next.position});
}

}  // namespace

absl::StatusOr<std::vector<std::pair<LogId, Run>>> Maintainer::LiveRuns(const Segment& segment) {
  std::vector<std::pair<LogId, Run>> live;
  const auto add = [&](LogId log, Offset base) -> absl::Status {
    NARU_ASSIGN_OR_RETURN(const auto run, parts_.index.FindRun(log, base));
    if (run && run->base == base && run->segment == segment.id()) live.emplace_back(log, *run);
    return absl::OkStatus();
  };
  SegmentScanner scanner(segment, parts_.segment_writer.salt(), kSegmentHeaderBytes, /*check_bodies=*/false);
  for (;;) {
    NARU_ASSIGN_OR_RETURN(const auto found, scanner.Next());
    if (found == SegmentScanner::Found::kEnd) break;
    if (found == SegmentScanner::Found::kBad) {
      return MakeError(Reason::kCorruptData,
                       absl::StrCat(segment.path(), " at ", scanner.position(), ": ", scanner.problem()));
    }
    const EntryHeader& header = scanner.header();
    if (header.type == EntryType::kBatch && header.Has(kRunStart)) {
      NARU_RETURN_IF_ERROR(add(header.log, header.base_offset));
    } else if (header.type == EntryType::kMove) {
      NARU_ASSIGN_OR_RETURN(const auto moves, DecodeMoveTable(scanner.body()));
      for (const MovedRun& move : moves) NARU_RETURN_IF_ERROR(add(move.log, move.run.base));
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

absl::Status Maintainer::RelocateSegment(SegmentId id) {
  const auto segment = parts_.segments.Find(id);
  if (segment == nullptr) return absl::OkStatus();
  NARU_ASSIGN_OR_RETURN(const auto live, LiveRuns(*segment));
  const uint64_t bytes_max = std::min(kMoveBytesMax, parts_.segment_writer.capacity() / 2);
  MoveOp op;
  const auto flush = [&]() -> absl::Status {
    if (op.runs.empty()) return absl::OkStatus();
    Count(parts_.counters.relocated_bytes, static_cast<int64_t>(op.entries.size()));
    return WaitForOp(parts_.appender, std::exchange(op, MoveOp()));
  };
  for (const auto& [log, run] : live) {
    if (Stopping()) return absl::OkStatus();
    if (!op.runs.empty() && (op.entries.size() + run.length > bytes_max || op.runs.size() >= kRunsPerMove)) {
      NARU_RETURN_IF_ERROR(flush());
    }
    const uint64_t position = op.entries.size();
    NARU_RETURN_IF_ERROR(CopyRun(*segment, log, run, op.entries));
    MovedRun* last = op.runs.empty() ? nullptr : &op.runs.back();
    if (last != nullptr && last->log == log && last->run.next == run.base &&
        last->run.length + run.length <= kMergedBytesMax) {
      Merge(*last, run);
    } else {
      op.runs.push_back({log, run, {{run.base, run.segment, run.position}}});
      op.runs.back().run.position = position;
    }
  }
  return flush();
}

absl::Status Maintainer::RelocateSparse() {
  if (parts_.options.compact_below_live_share <= 0) return absl::OkStatus();
  const SegmentId newest = parts_.segments.Ids().back();
  for (const SegmentRow& row : parts_.segment_table.Rows()) {
    if (row.id >= newest || row.live_bytes <= 0 || Stopping()) continue;
    const auto used = static_cast<double>(row.used_bytes);
    if (static_cast<double>(row.live_bytes) >= used * parts_.options.compact_below_live_share) continue;
    const absl::Status moved = RelocateSegment(row.id);
    if (absl::IsUnavailable(moved)) return moved;  // the disk is full, or the store stops
    if (!moved.ok()) {
      parts_.events.Write(Severity::kError, "relocation_failed",
                          {{"segment", row.id.value()}, {"error", moved.ToString()}});
    }
  }
  return absl::OkStatus();
}

}  // namespace naru
