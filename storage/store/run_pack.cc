#include "storage/store/run_pack.h"

#include <algorithm>
#include <utility>

#include "storage/base/check.h"
#include "storage/base/crc32c.h"
#include "storage/base/status.h"
#include "storage/batch/thin_batch.h"

namespace naru {
namespace {

// Offsets that one entry stands for, at most.
constexpr int64_t kOffsetsMax = INT32_MAX;

bool IsEmpty(const PackedEntry& entry) { return entry.header.records() == 0; }

// What is left of a batch of which nothing is left.
PackedEntry EmptyEntry(EntryHeader header, const ThinQuestions& ask) {
  header.appended_bytes = header.bytes_appended();
  header.flags = static_cast<uint8_t>((header.flags & ~kAppendTimeStamped) | kThinned);
  const auto stamp = header.producer();
  if (stamp && !ask.remembers(*stamp, header.base_offset))
    header.flags &= static_cast<uint8_t>(~kHasProducer);
  header.records_left = header.deltas_length = 0;
  header.body_length = 0;
  header.body_crc = header.batch_crc = Crc32c(std::string_view());
  header.max_timestamp_ms = 0;
  return {header, ""};
}

int64_t DeliveredTimestamp(const EntryHeader& header, const RecordView& record) {
  return header.Has(kAppendTimeStamped) || record.timestamp_ms == 0 ? header.append_time_ms
                                                                    : record.timestamp_ms;
}

absl::StatusOr<PackedEntry> ThinEntry(const RunEntry& entry, ThinnedRun& thinned, const ThinQuestions& ask) {
  if (entry.header.records() == 0) return EmptyEntry(entry.header, ask);
  NARU_ASSIGN_OR_RETURN(std::vector<uint32_t> deltas, OffsetDeltasOf(entry));
  const auto delta_of = [&](uint32_t i) { return deltas.empty() ? i : deltas[i]; };
  const uint32_t records = entry.header.records();
  const absl::Cord batch = absl::MakeCordFromExternal(Absl(entry.batch()), [] {});
  int64_t max_timestamp_ms = 0;
  bool counts = true;
  NARU_ASSIGN_OR_RETURN(const auto left, ThinBatch(batch, [&](uint32_t i, const RecordView& record) {
                          counts = counts && i < records;
                          if (!counts || !ask.keep(entry.header.base_offset + delta_of(i), record))
                            return false;
                          max_timestamp_ms =
                              std::max(max_timestamp_ms, DeliveredTimestamp(entry.header, record));
                          return true;
                        }));
  if (!counts) return MakeError(Reason::kCorruptData, "a batch holds more records than it was stored with");
  const size_t kept = left ? left->kept.size() : 0;
  thinned.records_left_out += records - static_cast<int64_t>(kept);
  if (kept == records) return PackedEntry{entry.header, std::string(entry.body)};
  if (!left) return EmptyEntry(entry.header, ask);
  PackedEntry packed{entry.header, ""};
  std::vector<uint32_t> left_deltas;
  left_deltas.reserve(kept);
  for (const uint32_t i : left->kept) left_deltas.push_back(delta_of(i));
  EncodeOffsetDeltas(left_deltas, packed.body);
  EntryHeader& header = packed.header;
  header.appended_bytes = entry.header.bytes_appended();
  header.flags |= kThinned;
  header.records_left = static_cast<uint32_t>(kept);
  header.deltas_length = static_cast<uint32_t>(packed.body.size());
  header.batch_crc = Crc32c(left->batch);
  for (const absl::string_view chunk : left->batch.Chunks()) packed.body.append(chunk.data(), chunk.size());
  header.body_length = static_cast<uint32_t>(packed.body.size());
  header.body_crc = Crc32c(std::string_view(packed.body));
  header.max_timestamp_ms = max_timestamp_ms;
  return packed;
}

// Whether `next` could be taken into `last`, both empty.
bool Joins(const PackedEntry& last, const PackedEntry& next) {
  const auto plain = [](const PackedEntry& entry) {
    return IsEmpty(entry) && !entry.header.Has(kHasProducer);
  };
  return plain(last) && plain(next) &&
         int64_t{last.header.record_count} + next.header.record_count <= kOffsetsMax;
}

void Join(PackedEntry& last, const PackedEntry& next) {
  EntryHeader& header = last.header;
  header.record_count += next.header.record_count;
  header.appended_bytes += next.header.appended_bytes;
  header.append_time_ms = next.header.append_time_ms;
  header.leader_epoch = next.header.leader_epoch;
  header.sequence = next.header.sequence;
  header.durable_sequence = next.header.durable_sequence;
}

}  // namespace

absl::StatusOr<ThinnedRun> ThinRun(const std::vector<RunEntry>& entries, ThinQuestions ask) {
  ThinnedRun thinned;
  for (const RunEntry& entry : entries) {
    NARU_ASSIGN_OR_RETURN(PackedEntry packed, ThinEntry(entry, thinned, ask));
    if (!thinned.entries.empty() && Joins(thinned.entries.back(), packed)) {
      Join(thinned.entries.back(), packed);
      continue;
    }
    thinned.entry_bytes += static_cast<int64_t>(packed.header.entry_bytes());
    thinned.entries.push_back(std::move(packed));
  }
  return thinned;
}

void RunPack::Add(const Run& run, ThinnedRun thinned) {
  NARU_CHECK(Continues(run));
  old_.push_back(run);
  old_bytes_ += run.length;
  records_left_out_ += thinned.records_left_out;
  for (PackedEntry& entry : thinned.entries) AddEntry(std::move(entry));
}

void RunPack::AddEntry(PackedEntry entry) {
  if (!entries_.empty()) {
    // Only the first says what lies before the run.
    entry.header.flags &= static_cast<uint8_t>(~kRunStart);
    if (Joins(entries_.back(), entry)) return Join(entries_.back(), entry);
  }
  entry_bytes_ += static_cast<int64_t>(entry.header.entry_bytes());
  entries_.push_back(std::move(entry));
}

MovedRun RunPack::Take(std::string& to) {
  MovedRun moved;
  moved.log = log_;
  const uint64_t position = to.size();
  for (const PackedEntry& entry : entries_) {
    if (moved.run.batch_count == 0) {
      moved.run = RunOfEntry(entry.header, SegmentId(0), position);
    } else {
      ExtendRun(moved.run, entry.header);
    }
    const size_t begin = to.size();
    AppendEntryHeader(entry.header, salt_, to);
    to.append(entry.body);
    to.resize(begin + entry.header.entry_bytes(), '\0');
  }
  // It may be that of a record that is gone; but it must not fall from run to run.
  moved.run.max_timestamp_so_far_ms =
      std::max(moved.run.max_timestamp_so_far_ms, old_.back().max_timestamp_so_far_ms);
  for (const Run& run : old_) moved.old.push_back({run.base, run.segment, run.position});
  NARU_CHECK(moved.run.base == old_.front().base && moved.run.next == old_.back().next);
  Drop();
  return moved;
}

void RunPack::Drop() {
  old_.clear();
  entries_.clear();
  entry_bytes_ = old_bytes_ = records_left_out_ = 0;
}

}  // namespace naru
