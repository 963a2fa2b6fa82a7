#include "storage/batch/splice.h"

#include <algorithm>
#include <string>

#include "storage/base/coding.h"
#include "storage/base/status.h"
#include "storage/batch/record_walk.h"
#include "storage/batch/stored_records.h"

namespace naru {
namespace {

constexpr uint32_t kTimestampField = 4;
constexpr uint32_t kOffsetField = 15;
// Both fields behind a record: a tag of one byte and a varint each.
constexpr size_t kTailBytesMax = size_t{2} * (1 + wire::kVarintBytesMax);
constexpr size_t kHeadBytesMax = size_t{2} * wire::kVarintBytesMax;

// What the record says about its time; 0 when nothing. False: the bytes are no record.
bool TimestampOf(std::string_view raw, int64_t& timestamp_ms) {
  RecordFields fields;
  if (WalkRecord(raw, fields)) return false;
  timestamp_ms = fields.timestamp_ms;
  return true;
}

// Sets `timestamp_ms` to what a consumer of `batch` sees for the record. False: the bytes are no record.
bool DeliveredTimestamp(const StoredBatchView& batch, std::string_view raw, int64_t& timestamp_ms) {
  timestamp_ms = 0;
  if (!batch.append_time_stamped && !TimestampOf(raw, timestamp_ms)) return false;
  if (timestamp_ms == 0) timestamp_ms = batch.append_time_ms;
  return true;
}

// Appends one record with the broker's fields behind it, as field `field`. False: it would pass `bytes_max`.
bool AppendRecord(std::string_view raw, uint32_t field, bool add_timestamp, int64_t append_time_ms,
                  Offset offset, int64_t bytes_max, std::string& out) {
  char tail[kTailBytesMax];
  char* tail_end = tail;
  if (add_timestamp) {
    *tail_end++ = static_cast<char>(wire::Tag(kTimestampField, wire::Type::kVarint));
    tail_end = wire::PutVarint(tail_end, static_cast<uint64_t>(append_time_ms));
  }
  *tail_end++ = static_cast<char>(wire::Tag(kOffsetField, wire::Type::kVarint));
  tail_end = wire::PutVarint(tail_end, static_cast<uint64_t>(offset.value()));
  const auto tail_size = static_cast<size_t>(tail_end - tail);

  char head[kHeadBytesMax];
  char* const head_end =
      wire::PutVarint(wire::PutVarint(head, wire::Tag(field, wire::Type::kLength)), raw.size() + tail_size);
  const auto head_size = static_cast<size_t>(head_end - head);

  const size_t size = out.size() + head_size + raw.size() + tail_size;
  if (!out.empty() && size > static_cast<uint64_t>(std::max<int64_t>(bytes_max, 0))) return false;
  out.append(head, head_size);
  out.append(raw);
  out.append(tail, tail_size);
  return true;
}

void AppendNonZero(std::string& to, uint32_t field, int64_t value) {
  if (value != 0) wire::AppendVarintField(to, field, static_cast<uint64_t>(value));
}

}  // namespace

absl::Status SpliceRecords(const StoredBatchView& batch, uint32_t field, const SpliceLimits& limits,
                           std::string& out, Spliced& result) {
  result = Spliced{.next_offset = limits.from};
  if (limits.from >= limits.end || limits.from >= batch.next_offset) return absl::OkStatus();
  NARU_ASSIGN_OR_RETURN(const StoredRecords records, StoredRecords::Of(batch.bytes));
  StoredRecords::Reader reader(records);
  std::string_view raw;
  uint32_t i = 0;
  for (; i < batch.record_count && batch.offset_of(i) < limits.end && reader.Next(raw); ++i) {
    const Offset offset = batch.offset_of(i);
    if (offset < limits.from) continue;
    if (limits.records_max > 0 && result.records == limits.records_max) {
      result.limit_reached = true;
      return absl::OkStatus();
    }
    int64_t own_timestamp_ms = 0;
    if (!batch.append_time_stamped && !TimestampOf(raw, own_timestamp_ms)) {
      return CorruptBatch("a record cannot be read");
    }
    if (!AppendRecord(raw, field, own_timestamp_ms == 0, batch.append_time_ms, offset, limits.bytes_max,
                      out)) {
      result.limit_reached = true;
      return absl::OkStatus();
    }
    ++result.records;
    result.next_offset = offset + 1;
  }
  NARU_RETURN_IF_ERROR(reader.status());
  if (i < batch.record_count && batch.offset_of(i) < limits.end) {
    return CorruptBatch("it holds fewer records than it was stored with");
  }
  if (i == batch.record_count && reader.Next(raw)) {
    return CorruptBatch("it holds more records than it was stored with");
  }
  result.next_offset = std::max(limits.from, std::min(limits.end, batch.next_offset));
  return absl::OkStatus();
}

void WrapStored(const StoredBatchView& batch, uint32_t field, absl::Cord& out) {
  constexpr uint64_t kAppendTime = 2;  // TIMESTAMP_TYPE_APPEND_TIME
  std::string facts;
  AppendNonZero(facts, 1, batch.base_offset.value());
  AppendNonZero(facts, 2, batch.next_offset.value());
  AppendNonZero(facts, 3, batch.leader_epoch.value());
  AppendNonZero(facts, 4, batch.append_time_ms);
  wire::AppendVarint(facts, wire::Tag(5, wire::Type::kFixed32));
  AppendLittle(facts, batch.crc32c);
  if (!batch.offset_deltas.empty()) {
    std::string deltas;
    for (const uint32_t delta : batch.offset_deltas) wire::AppendVarint(deltas, delta);
    wire::AppendBytesField(facts, 6, deltas);
  }
  if (batch.append_time_stamped) wire::AppendVarintField(facts, 7, kAppendTime);
  wire::AppendVarint(facts, wire::Tag(15, wire::Type::kLength));
  wire::AppendVarint(facts, batch.bytes.size());

  std::string head;
  wire::AppendVarint(head, wire::Tag(field, wire::Type::kLength));
  wire::AppendVarint(head, facts.size() + batch.bytes.size());
  head.append(facts);
  out.Append(head);
  out.Append(batch.bytes);
}

absl::StatusOr<std::optional<TimedOffset>> FindTimestamp(const StoredBatchView& batch, int64_t timestamp_ms,
                                                         Offset from) {
  NARU_ASSIGN_OR_RETURN(const StoredRecords records, StoredRecords::Of(batch.bytes));
  StoredRecords::Reader reader(records);
  std::string_view raw;
  for (uint32_t i = 0; i < batch.record_count && reader.Next(raw); ++i) {
    const Offset offset = batch.offset_of(i);
    if (offset < from) continue;
    int64_t delivered_ms;
    if (!DeliveredTimestamp(batch, raw, delivered_ms)) return CorruptBatch("a record cannot be read");
    if (delivered_ms >= timestamp_ms) return std::optional(TimedOffset{offset, delivered_ms});
  }
  NARU_RETURN_IF_ERROR(reader.status());
  return std::optional<TimedOffset>();
}

}  // namespace naru
