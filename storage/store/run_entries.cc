#include "storage/store/run_entries.h"

#include "storage/base/crc32c.h"
#include "storage/base/status.h"
#include "storage/segments/entry.h"

namespace naru {
namespace {

absl::Status CorruptRun(LogId log, const Run& run, size_t at, std::string_view what) {
  return MakeError(Reason::kCorruptData, absl::StrCat("segment ", run.segment.value(), " at ",
                                                      run.position + at, ", log ", log.value(), ": ", what));
}

}  // namespace

absl::StatusOr<std::vector<RunEntry>> ParseRun(LogId log, const Run& run, std::string_view bytes,
                                               uint32_t salt) {
  std::vector<RunEntry> entries;
  Offset expected = run.base;
  if (bytes.size() != run.length) return CorruptRun(log, run, bytes.size(), "the run is cut short");
  for (size_t at = 0; at < bytes.size();) {
    const std::string_view rest = bytes.substr(at);
    RunEntry entry;
    if (ParseEntryHeader(rest.substr(0, kHeaderBytesMax), salt, entry.header) != HeaderCheck::kGood) {
      return CorruptRun(log, run, at, "the entry header fails its checksum");
    }
    const EntryHeader& header = entry.header;
    if (header.type != EntryType::kBatch || header.log != log || header.base_offset != expected) {
      return CorruptRun(log, run, at, absl::StrCat("offset ", expected.value(), " is not here"));
    }
    if (header.entry_bytes() > rest.size()) return CorruptRun(log, run, at, "the entry runs past its run");
    entry.body = rest.substr(header.header_bytes(), header.body_length);
    if (Crc32c(entry.body) != header.body_crc) {
      return CorruptRun(log, run, at, "the batch fails its checksum");
    }
    expected = header.next_offset();
    at += header.entry_bytes();
    entries.push_back(entry);
  }
  if (expected != run.next) return CorruptRun(log, run, bytes.size(), "the run ends early");
  return entries;
}

absl::StatusOr<std::vector<uint32_t>> OffsetDeltasOf(const RunEntry& entry) {
  std::vector<uint32_t> deltas;
  const EntryHeader& header = entry.header;
  if (header.Has(kThinned) && !DecodeOffsetDeltas(entry.body.substr(0, header.deltas_length),
                                                  header.records_left, header.record_count, deltas)) {
    return MakeError(Reason::kCorruptData, absl::StrCat("the offsets of what is left of the batch at offset ",
                                                        header.base_offset.value(), " are malformed"));
  }
  return deltas;
}

absl::Status ForEachRecordOf(const RunEntry& entry,
                             absl::FunctionRef<bool(Offset offset, const RecordView& record)> visit) {
  if (entry.header.records() == 0) return absl::OkStatus();
  NARU_ASSIGN_OR_RETURN(const std::vector<uint32_t> deltas, OffsetDeltasOf(entry));
  const absl::Cord batch = absl::MakeCordFromExternal(Absl(entry.batch()), [] {});
  uint32_t i = 0;
  return ForEachRecord(batch, [&](const RecordView& record) {
    const int64_t delta =
        deltas.empty() ? int64_t{i} : int64_t{deltas[std::min<size_t>(i, deltas.size() - 1)]};
    ++i;
    return visit(entry.header.base_offset + delta, record);
  });
}

}  // namespace naru
