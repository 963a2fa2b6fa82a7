#include "storage/store/entry_writer.h"

#include <algorithm>
#include <utility>

#include "storage/base/check.h"
#include "storage/base/crc32c.h"
#include "storage/base/status.h"

namespace naru {
namespace {

// A run larger than this is ended: it bounds what a reader in its middle has to look through.
constexpr uint32_t kRunBytesMax = uint32_t{1} << 20;
constexpr uint64_t kMarginBytesMax = uint64_t{4} << 20;

absl::Status TooLarge(uint64_t bytes, uint64_t limit) {
  return MakeError(Reason::kBatchTooLarge,
                   absl::StrCat("batch: ", bytes, " bytes do not fit into a segment, which takes ", limit),
                   {{"limit_bytes", absl::StrCat(limit)}});
}

}  // namespace

uint64_t SegmentMargin(uint64_t capacity) { return std::min(kMarginBytesMax, capacity / 32); }

absl::Status EntryWriter::EnsureRoomForBatches(uint64_t bytes, uint64_t spared) {
  return bytes <= batches_max() ? EnsureRoom(bytes, spared) : TooLarge(bytes, batches_max());
}

absl::Status EntryWriter::EnsureRoom(uint64_t bytes, uint64_t spared) {
  if (bytes > capacity()) return TooLarge(bytes, capacity());
  return FromSegments(parts_.segments.EnsureRoom(bytes, spared));
}

absl::Status EntryWriter::EnsureNewestFormat() { return FromSegments(parts_.segments.EnsureNewestFormat()); }

absl::Status EntryWriter::FromSegments(const absl::Status& room) {
  if (room.ok()) return room;
  if (absl::IsResourceExhausted(room)) {
    Count(parts_.counters.storage_full_refusals);
    return MakeError(Reason::kStorageFull,
                     absl::StrCat("the disk has no room for another segment: ", Std(room.message())));
  }
  parts_.fatal.Raise(room.ToString());
  return Fatal::Error();
}

void EntryWriter::AddBatch(const std::shared_ptr<Log>& log, EntryHeader& header, const absl::Cord& body,
                           Group& group, Group::LogEnd& end) {
  header.sequence = ++last_;
  header.durable_sequence = parts_.syncer.durable_sequence();
  header.flags &= static_cast<uint8_t>(~kRunStart);
  Fold& fold = parts_.fold;
  const bool continues = fold.run_open() && parts_.segments.FitsInCurrent(header.entry_bytes()) &&
                         fold.open_run_bytes() + header.entry_bytes() <= kRunBytesMax;
  if (!continues) {
    if (fold.run_open()) CloseRun(*log, group, end);
    header.flags |= kRunStart;
    header.bytes_before = log->bytes_end;
    header.max_timestamp_before = log->state.prefix_max_timestamp_ms();
  }
  const SegmentWriter::Place place = parts_.segments.Stage(header, body);
  fold.ApplyBatch(log, header, {place.segment, place.position});
}

void EntryWriter::CloseRun(Log& log, Group& group, Group::LogEnd& end) {
  if (!parts_.fold.run_open()) return;
  NARU_CHECK(parts_.fold.open_log()->id == log.id);
  log.tail_runs.push_back(parts_.fold.CloseRun(group.update));
  ++end.runs;
}

void EntryWriter::AddControl(EntryType type, uint8_t flags, const absl::Cord& body, Group& group) {
  EntryHeader header;
  header.type = type;
  header.flags = flags;
  header.body_length = static_cast<uint32_t>(body.size());
  header.body_crc = Crc32c(body);
  header.sequence = ++last_;
  header.durable_sequence = parts_.syncer.durable_sequence();
  const SegmentWriter::Place place = parts_.segments.Stage(header, body);
  absl::Cord flat = body;
  const absl::string_view bytes = flat.Flatten();
  const absl::Status applied =
      parts_.fold.ApplyControl(header, Std(bytes), {place.segment, place.position}, group.update);
  // What cannot be applied must never have been written: its maker checks first.
  if (!applied.ok()) parts_.fatal.Raise(applied.ToString());
}

bool EntryWriter::Write(Group& group) {
  if (parts_.fatal.raised()) return false;
  group.bytes = static_cast<int64_t>(parts_.segments.staged_bytes());
  if (group.bytes > 0) {
    if (const absl::Status written = parts_.segments.Write(/*sync_soon=*/!group.acks.empty());
        !written.ok()) {
      parts_.fatal.Raise(written.ToString());
      return false;
    }
    parts_.counters.zeroed_bytes.store(parts_.segments.zeroed_bytes(), std::memory_order_relaxed);
    group.written = parts_.segments.TakeWritten();
    group.last_sequence = last_;
    parts_.fold.Finish({last_, parts_.segments.segment(), parts_.segments.position()}, group.update);
  }
  parts_.cache.Evict();
  return true;
}

}  // namespace naru
