// Salvage: what a scan of a damaged store found, written to a fresh one.
#include <algorithm>
#include <utility>

#include "absl/synchronization/notification.h"
#include "storage/base/crc32c.h"
#include "storage/base/status.h"
#include "storage/store/run_reader.h"
#include "storage/store/salvage_scan.h"
#include "storage/store/segment_store.h"

namespace naru {
namespace {

// Entry bytes handed to the store at once, unless a single batch is larger. Fits into the smallest segment.
constexpr uint64_t kAppendBytes = uint64_t{512} << 10;

// Of segments like those that were read, which take the largest batch found.
int64_t SegmentBytesLike(const SalvageScan& scan) {
  StoreOptions options;
  options.segment_bytes = std::clamp(static_cast<int64_t>(scan.segment_bytes()),
                                     StoreOptions::kSegmentBytesMin, StoreOptions::kSegmentBytesMax);
  while (options.BatchBytesMax() < static_cast<int64_t>(scan.batch_bytes_max()) &&
         options.segment_bytes < StoreOptions::kSegmentBytesMax) {
    options.segment_bytes = std::min(2 * options.segment_bytes, StoreOptions::kSegmentBytesMax);
  }
  return options.segment_bytes;
}

// Starts something that completes with a status, and waits.
template <typename Result, typename Start>
Result Await(Start start) {
  absl::Notification given;
  std::optional<Result> result;
  start([&](Result answer) {
    result.emplace(std::move(answer));
    given.Notify();
  });
  given.WaitForNotification();
  return *std::move(result);
}

class Copier {
 public:
  Copier(const SalvageScan& scan, SegmentStore& store, SalvageReport& report)
      : scan_(scan), store_(store), report_(report) {}

  absl::Status Copy(LogId id, const SalvageScan::SalvagedLog& log) {
    // From behind the last hole on: offsets must follow each other.
    auto first = log.pieces.begin();
    while (first != log.pieces.end() && first->second.next <= log.start) ++first;
    const Offset wanted = log.start;
    if (first != log.pieces.end() && first->first > wanted) Left(id, wanted, first->first);
    for (auto at = first; at != log.pieces.end(); ++at) {
      const auto next = std::next(at);
      if (next == log.pieces.end() || next->first == at->second.next) continue;
      Left(id, first->first, next->first);
      first = next;
    }
    if (log.end > (first == log.pieces.end() ? log.start : log.pieces.rbegin()->second.next)) {
      Left(id, first == log.pieces.end() ? log.start : log.pieces.rbegin()->second.next, log.end);
    }
    Offset at = first == log.pieces.end() ? log.start : first->first;
    NARU_RETURN_IF_ERROR(
        Await<absl::Status>([&](LogStore::Done done) { store_.Reset(id, at, {}, std::move(done)); }));
    for (; first != log.pieces.end(); ++first) NARU_RETURN_IF_ERROR(CopyPiece(id, first->second));
    const auto info = store_.Info(id);
    if (!info.ok()) return info.status();
    const Offset start = std::min(log.start, info->readable_end);
    return Await<absl::Status>([&](LogStore::Done done) { store_.MoveLogStart(id, start, std::move(done)); });
  }

 private:
  void Left(LogId id, Offset from, Offset to) {
    report_.damage.push_back(
        absl::StrCat("log ", id.value(), ": offsets ", from.value(), " to ", to.value(), " are left behind"));
  }

  absl::Status CopyPiece(LogId id, const SalvageScan::Piece& piece) {
    const auto segment = scan_.segments().Find(piece.segment);
    uint64_t at = piece.position;
    const uint64_t end = piece.position + piece.length;
    ReplicaAppendRequest request{.log = id};
    uint64_t bytes = 0;
    while (at < end) {
      EntryHeader header;
      NARU_ASSIGN_OR_RETURN(auto body, ReadEntry(*segment, at, header));
      const uint64_t entry_bytes = EntryBytesMax(body.size());
      if (bytes > 0 && bytes + entry_bytes > kAppendBytes) {
        NARU_RETURN_IF_ERROR(Append(std::exchange(request, {.log = id})));
        bytes = 0;
      }
      bytes += entry_bytes;
      StoredBatchView view;
      if (!ViewOfBody(header, body,
                      absl::Cord(body.substr(body.size() - static_cast<size_t>(header.batch_bytes()))),
                      view)) {
        return absl::DataLossError(absl::StrCat(segment->path(), " at ", at, ": the offsets are malformed"));
      }
      request.gaps = request.gaps || view.record_count == 0;
      request.batches.push_back(std::move(view));
      at += header.entry_bytes();
    }
    return request.batches.empty() ? absl::OkStatus() : Append(std::move(request));
  }

  absl::StatusOr<std::string> ReadEntry(const Segment& segment, uint64_t at, EntryHeader& header) {
    std::string raw(kHeaderBytesMax, '\0');
    NARU_ASSIGN_OR_RETURN(const size_t read, segment.file().Read(at, raw.data(), raw.size()));
    raw.resize(read);
    if (ParseEntryHeader(raw, scan_.salt(), header) != HeaderCheck::kGood) {
      return absl::DataLossError(
          absl::StrCat(segment.path(), " at ", at, ": read differently a second time"));
    }
    std::string body(header.body_length, '\0');
    NARU_ASSIGN_OR_RETURN(const size_t got,
                          segment.file().Read(at + header.header_bytes(), body.data(), body.size()));
    if (got != body.size() || Crc32c(std::string_view(body)) != header.body_crc) {
      return absl::DataLossError(
          absl::StrCat(segment.path(), " at ", at, ": read differently a second time"));
    }
    return body;
  }

  absl::Status Append(ReplicaAppendRequest request) {
    int64_t batches = 0;
    int64_t records = 0;
    for (const StoredBatchView& batch : request.batches) {
      batches += batch.record_count > 0 ? 1 : 0;
      records += batch.record_count;
    }
    const auto appended = Await<absl::StatusOr<Appended>>(
        [&](LogStore::AppendDone done) { store_.AppendAsReplica(std::move(request), std::move(done)); });
    if (!appended.ok()) return appended.status();
    report_.batches_saved += batches;
    report_.records_saved += records;
    return absl::OkStatus();
  }

  const SalvageScan& scan_;
  SegmentStore& store_;
  SalvageReport& report_;
};

}  // namespace

absl::StatusOr<SalvageReport> Salvage(const std::string& from, const std::string& to, FileSystem& files,
                                      const Clock& clock, EventLog& events) {
  if (files.Exists(to + "/segments")) {
    return InvalidField("to", to, "a directory without a store in it is allowed");
  }
  SalvageReport report;
  SalvageScan scan(files, from, report);
  NARU_RETURN_IF_ERROR(scan.Run());
  StoreOptions options;
  options.directory = to;
  options.segment_bytes = SegmentBytesLike(scan);
  options.disk_reserve_bytes = 0;
  NARU_ASSIGN_OR_RETURN(const auto store, SegmentStore::Open(options, files, clock, events));
  std::vector<LogId> ids;
  for (const auto& [id, log] : scan.logs()) ids.push_back(id);
  NARU_RETURN_IF_ERROR(
      Await<absl::Status>([&](LogStore::Done done) { store->CreateLogs(std::move(ids), std::move(done)); }));
  Copier copier(scan, *store, report);
  for (const auto& [id, log] : scan.logs()) NARU_RETURN_IF_ERROR(copier.Copy(id, log));
  store->Stop();
  return report;
}

}  // namespace naru
