#include "storage/store/run_reader.h"

#include <algorithm>
#include <utility>

#include "storage/base/crc32c.h"
#include "storage/base/status.h"

namespace naru {
namespace {

// Headers are hopped over one by one where batches are at least this large; else read along with them.
constexpr uint64_t kHopBytes = 16 << 10;
constexpr size_t kWindowBytes = 64 << 10;
// One read into memory, whatever was asked for.
constexpr int64_t kReadBytesMax = int64_t{16} << 20;

absl::Status Corrupt(const Segment& segment, uint64_t position, std::string_view what) {
  return MakeError(Reason::kCorruptData, absl::StrCat(segment.path(), " at ", position, ": ", what));
}

}  // namespace

StoredBatchView ViewOfEntry(const EntryHeader& header, absl::Cord bytes) {
  StoredBatchView view;
  view.base_offset = header.base_offset;
  view.next_offset = header.next_offset();
  view.leader_epoch = header.leader_epoch;
  view.append_time_ms = header.append_time_ms;
  view.max_timestamp_ms = header.max_timestamp_ms;
  view.crc32c = header.crc_of_batch();
  view.record_count = header.records();
  view.append_time_stamped = header.Has(kAppendTimeStamped);
  view.producer = header.producer();
  view.bytes = std::move(bytes);
  return view;
}

bool ViewOfBody(const EntryHeader& header, std::string_view body, absl::Cord bytes, StoredBatchView& view) {
  view = ViewOfEntry(header, std::move(bytes));
  return !header.Has(kThinned) ||
         DecodeOffsetDeltas(body.substr(0, header.deltas_length), header.records_left, header.record_count,
                            view.offset_deltas);
}

absl::StatusOr<std::shared_ptr<Segment>> RunReader::SegmentOf(const Run& run) const {
  auto segment = segments_.Find(run.segment);
  if (segment == nullptr) return absl::NotFoundError(absl::StrCat("segment ", run.segment.value(), " went"));
  return segment;
}

absl::Status RunReader::VisitHeaders(LogId log, const Run& run,
                                     absl::FunctionRef<bool(const EntryHeader&, uint64_t)> visit) const {
  NARU_ASSIGN_OR_RETURN(const auto segment, SegmentOf(run));
  const uint64_t end = run.position + run.length;
  const bool hop = run.length / std::max<uint32_t>(run.batch_count, 1) >= kHopBytes;
  std::string window;
  uint64_t window_at = 0;
  Offset expected = run.base;
  for (uint64_t at = run.position; at < end;) {
    const size_t needed = std::min<uint64_t>(kHeaderBytesMax, end - at);
    if (at < window_at || at + needed > window_at + window.size()) {
      window.resize(std::min<uint64_t>(hop ? kHeaderBytesMax : kWindowBytes, end - at));
      window_at = at;
      NARU_ASSIGN_OR_RETURN(const size_t read, segment->file().Read(at, window.data(), window.size()));
      window.resize(read);
    }
    EntryHeader header;
    const std::string_view raw = std::string_view(window).substr(at - window_at, needed);
    if (ParseEntryHeader(raw, salt_, header) != HeaderCheck::kGood) {
      return Corrupt(*segment, at, "the entry header fails its checksum");
    }
    if (header.type != EntryType::kBatch || header.log != log || header.base_offset != expected) {
      return Corrupt(*segment, at,
                     absl::StrCat("offset ", expected.value(), " of log ", log.value(), " is not here"));
    }
    if (!visit(header, at)) return absl::OkStatus();
    expected = header.next_offset();
    at += header.entry_bytes();
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> RunReader::ReadBytes(const Run& run) const {
  NARU_ASSIGN_OR_RETURN(const auto segment, SegmentOf(run));
  std::string bytes(run.length, '\0');
  NARU_ASSIGN_OR_RETURN(const size_t read, segment->file().Read(run.position, bytes.data(), bytes.size()));
  bytes.resize(read);
  return bytes;
}

absl::StatusOr<std::optional<Run>> RunReader::Cut(LogId log, const Run& run, Offset end) const {
  std::optional<Run> cut;
  NARU_RETURN_IF_ERROR(VisitHeaders(log, run, [&](const EntryHeader& header, uint64_t position) {
    if (header.next_offset() > end) return false;
    if (!cut) {
      cut = RunOfEntry(header, run.segment, position);
    } else {
      ExtendRun(*cut, header);
    }
    return true;
  }));
  return cut;
}

absl::StatusOr<uint64_t> RunReader::PositionOf(LogId log, const Run& run, Offset offset) const {
  if (offset <= run.base) return run.position;
  std::optional<uint64_t> found;
  NARU_RETURN_IF_ERROR(VisitHeaders(log, run, [&](const EntryHeader& header, uint64_t position) {
    if (header.next_offset() <= offset) return true;
    found = position;
    return false;
  }));
  if (!found) return MakeError(Reason::kCorruptData, absl::StrCat("a run lacks offset ", offset.value()));
  return *found;
}

void RunReader::AddEmptied(const ReadRequest& request, Progress& progress, ReadResult& result) {
  StoredBatchView view = ViewOfEntry(*progress.emptied, absl::Cord());
  // One that stands for what several batches held may begin before what is asked for.
  if (!view.producer) view.base_offset = std::max(view.base_offset, request.from);
  result.batches.push_back(std::move(view));
  progress.emptied.reset();
}

absl::Status RunReader::AddBatch(const ReadRequest& request, const EntryHeader& header, std::string_view rest,
                                 const std::shared_ptr<const char[]>& buffer, Progress& progress,
                                 ReadResult& result) const {
  progress.expected = header.next_offset();
  if (header.records() == 0) {
    result.gaps = true;
    progress.emptied = header;
    if (request.include_emptied && header.Has(kHasProducer)) AddEmptied(request, progress, result);
    return absl::OkStatus();
  }
  progress.emptied.reset();
  const std::string_view body = rest.substr(header.header_bytes(), header.body_length);
  if (Crc32c(body) != header.body_crc) return absl::DataLossError("the batch fails its checksum");
  const std::string_view bytes = body.substr(header.Has(kThinned) ? header.deltas_length : 0);
  StoredBatchView view;
  if (!ViewOfBody(header, body, absl::MakeCordFromExternal(Absl(bytes), [buffer] {}), view)) {
    return absl::DataLossError("the batch's offsets are malformed");
  }
  result.batches.push_back(std::move(view));
  progress.bytes_left -= header.body_length;
  return absl::OkStatus();
}

absl::Status RunReader::ReadStretch(const ReadRequest& request, const Stretch& stretch, Progress& progress,
                                    ReadResult& result) const {
  const LogId log = request.log;
  std::vector<StoredBatchView>& out = result.batches;
  const Segment& segment = *stretch.segment;
  uint64_t at = stretch.position;
  const uint64_t stop = stretch.position + stretch.length;
  size_t wanted = std::min<uint64_t>(stretch.length,
                                     static_cast<uint64_t>(std::max<int64_t>(progress.bytes_left, 0)) + 4096);
  while (at < stop && !progress.done) {
    // One buffer, shared by all batches that are cut out of it, and not cleared first.
    const size_t room = std::min<uint64_t>(wanted, stop - at);
    const auto filled = std::make_shared_for_overwrite<char[]>(room);
    NARU_ASSIGN_OR_RETURN(const size_t read, segment.file().Read(at, filled.get(), room));
    const std::shared_ptr<const char[]> buffer = filled;
    size_t used = 0;
    EntryHeader header;
    while (used < read) {
      const std::string_view rest(buffer.get() + used, read - used);
      if (ParseEntryHeader(rest.substr(0, kHeaderBytesMax), salt_, header) != HeaderCheck::kGood) {
        if (rest.size() < kHeaderBytesMax && used > 0) break;
        return Corrupt(segment, at + used, "the entry header fails its checksum");
      }
      // The first may begin before what is asked for; each of the others where the one before it ended.
      const bool holds =
          out.empty() ? header.base_offset <= progress.expected && header.next_offset() > progress.expected
                      : header.base_offset == progress.expected;
      if (header.log != log || !holds) {
        return Corrupt(
            segment, at + used,
            absl::StrCat("offset ", progress.expected.value(), " of log ", log.value(), " is not here"));
      }
      progress.done = header.base_offset >= request.end ||
                      (!out.empty() && header.records() > 0 && header.body_length > progress.bytes_left);
      if (progress.done) return absl::OkStatus();
      if (out.empty() && header.body_length > request.first_bytes_max) {
        result.first_batch_bytes = header.body_length;
        progress.done = true;
        return absl::OkStatus();
      }
      if (rest.size() < header.header_bytes() + header.body_length) break;
      if (const absl::Status added = AddBatch(request, header, rest, buffer, progress, result); !added.ok()) {
        return Corrupt(segment, at + used, Std(added.message()));
      }
      used += header.entry_bytes();
    }
    if (used == 0 && read >= stop - at) return Corrupt(segment, at, "the entry runs past its run");
    at += used;
    progress.done = progress.bytes_left <= 0 && !out.empty();
    // One that did not fit is read whole the next time; a header that was cut is read again with what
    // follows.
    wanted = std::max<size_t>(
        used == 0 ? header.entry_bytes() : static_cast<size_t>(std::max<int64_t>(progress.bytes_left, 0)),
        4096);
  }
  return absl::OkStatus();
}

absl::Status RunReader::Read(const std::vector<Run>& runs, const ReadRequest& request,
                             ReadResult& result) const {
  Progress progress{request.from, std::min(request.bytes_max, kReadBytesMax)};
  for (size_t i = 0; i < runs.size() && !progress.done;) {
    Stretch stretch;
    NARU_ASSIGN_OR_RETURN(stretch.segment, SegmentOf(runs[i]));
    NARU_ASSIGN_OR_RETURN(stretch.position, PositionOf(request.log, runs[i], progress.expected));
    uint64_t stop = runs[i].position + runs[i].length;
    // Runs that lie side by side are read as one.
    size_t next = i + 1;
    for (; next < runs.size() && runs[next].segment == runs[i].segment && runs[next].position == stop;
         ++next) {
      stop += runs[next].length;
    }
    stretch.length = stop - stretch.position;
    const absl::Status status = ReadStretch(request, stretch, progress, result);
    // What is whole before something damaged is served; who goes on from there is told.
    if (absl::IsDataLoss(status) && !result.batches.empty()) {
      result.next_offset = result.batches.back().next_offset;
      return absl::OkStatus();
    }
    NARU_RETURN_IF_ERROR(status);
    result.next_offset = progress.expected;
    i = next;
  }
  if (request.include_emptied && progress.emptied) AddEmptied(request, progress, result);
  return absl::OkStatus();
}

}  // namespace naru
