#include "storage/batch/batch.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/base/crc32c.h"
#include "storage/batch/batch_cursor.h"
#include "storage/batch/batch_rules.h"
#include "storage/batch/compression.h"
#include "storage/batch/record_walk.h"
#include "storage/batch/stored_records.h"
#include "storage/batch/wire.h"

namespace naru {
namespace {

constexpr uint32_t kCompressionField = 2;
constexpr uint32_t kRecordCountField = 3;
constexpr uint32_t kMaxTimestampField = 4;
constexpr uint32_t kCompressedField = 14;
constexpr uint32_t kRecordsField = 15;
constexpr char kRecordTag = static_cast<char>(wire::Tag(kRecordsField, wire::Type::kLength));

absl::Status BytesError(std::string_view field, uint64_t size, int64_t limit, Reason reason) {
  return MakeError(reason, absl::StrCat(field, ": ", size, " bytes are not allowed; at most ", limit),
                   {{"limit_bytes", absl::StrCat(limit)}});
}

// One walk over the bytes of one RecordBatch: the one sent, or the one found in its `compressed`.
class Walk {
 public:
  Walk(const BatchLimits& limits, std::string_view where, BatchInfo& info)
      : limits_(limits), where_(where), info_(info) {}

  absl::Status Run(BatchCursor cursor);

  // Which fields stood there.
  bool has(uint32_t field) const { return (seen_ >> field & 1) != 0; }
  uint64_t compression() const { return compression_; }
  uint64_t record_count() const { return record_count_; }
  int64_t max_timestamp_ms() const { return max_timestamp_ms_; }
  size_t compressed_at() const { return compressed_at_; }
  size_t compressed_size() const { return compressed_size_; }

 private:
  absl::Status TakeRecord(BatchCursor& cursor);
  absl::Status TakeField(BatchCursor& cursor);
  absl::Status TakeCompressed(BatchCursor& cursor);
  absl::Status TakeProducer(BatchCursor& cursor);
  // Why there is no varint, or no length with as many bytes, at the cursor.
  absl::Status VarintError(const BatchCursor& cursor, uint32_t field) const;
  absl::Status LengthError(const BatchCursor& cursor, uint32_t field) const;
  std::string RecordName() const { return absl::StrCat(where_, ".records[", info_.record_count, "]"); }

  const BatchLimits& limits_;
  const std::string_view where_;
  BatchInfo& info_;
  uint32_t seen_ = 0;
  uint64_t compression_ = 0;
  uint64_t record_count_ = 0;
  int64_t max_timestamp_ms_ = 0;
  size_t compressed_at_ = 0;
  size_t compressed_size_ = 0;
};

absl::Status Walk::Run(BatchCursor cursor) {
  while (!cursor.done()) {
    if (cursor.TakeByteIf(kRecordTag)) [[likely]] {
      NARU_RETURN_IF_ERROR(TakeRecord(cursor));
    } else {
      NARU_RETURN_IF_ERROR(TakeField(cursor));
    }
  }
  return absl::OkStatus();
}

absl::Status Walk::VarintError(const BatchCursor& cursor, uint32_t field) const {
  char raw[wire::kVarintBytesMax];
  const size_t n = cursor.Peek(raw, sizeof raw);
  return RuleError(where_, {record_walk::VarintRule(raw, raw + n), field});
}

absl::Status Walk::LengthError(const BatchCursor& cursor, uint32_t field) const {
  char raw[wire::kVarintBytesMax];
  const size_t n = cursor.Peek(raw, sizeof raw);
  return RuleError(where_, {record_walk::LengthRule(raw, raw + n), field});
}

absl::Status Walk::TakeRecord(BatchCursor& cursor) {
  uint64_t length;
  if (!cursor.ReadLength(length)) [[unlikely]]
    return LengthError(cursor, kRecordsField);
  if (length > static_cast<uint64_t>(limits_.record_bytes_max)) [[unlikely]] {
    return BytesError(RecordName(), length, limits_.record_bytes_max, Reason::kRecordTooLarge);
  }
  if (info_.record_count >= limits_.records_max) [[unlikely]] {
    return MakeError(
        Reason::kBatchTooLarge,
        absl::StrCat(where_, ".records: more records than allowed; at most ", limits_.records_max),
        {{"limit_records", absl::StrCat(limits_.records_max)}});
  }
  RecordFields record;
  if (const Violation violation = WalkRecord(cursor.Take(length), record)) [[unlikely]] {
    if (violation.rule == Rule::kNegativeTimestamp) {
      return RuleError(violation.rule, RecordName() + ".timestamp_ms", absl::StrCat(record.timestamp_ms),
                       "0 (the time of the append) or more");
    }
    return RuleError(RecordName(), violation);
  }
  seen_ |= 1u << kRecordsField;
  ++info_.record_count;
  info_.max_timestamp_ms = std::max(info_.max_timestamp_ms, record.timestamp_ms);
  info_.needs_append_time |= record.timestamp_ms == 0;
  info_.has_keyed |= record.has_key();
  info_.has_keyless |= !record.has_key();
  return absl::OkStatus();
}

absl::Status Walk::TakeField(BatchCursor& cursor) {
  char head[wire::kVarintBytesMax];
  const char* at = head;
  uint32_t field = 0;
  wire::Type type = wire::Type::kVarint;
  if (const Violation violation =
          record_walk::ReadTag(at, head + cursor.Peek(head, sizeof head), field, type)) {
    return RuleError(where_, violation);
  }
  cursor.Skip(static_cast<size_t>(at - head));
  wire::Type expected = wire::Type::kVarint;
  switch (field) {
    case kCompressionField:
    case kRecordCountField:
    case kMaxTimestampField:
      break;
    case kProducerField:
    case kCompressedField:
    case kRecordsField:
      expected = wire::Type::kLength;
      break;
    default:
      return MakeError(Reason::kUnknownBatchField,
                       absl::StrCat(where_, ": field ", field,
                                    " is not known here; fields 1 to 4, 14 and 15 are (naru/v1/types.proto)"),
                       {{"field", absl::StrCat(field)}});
  }
  if (type != expected) return RuleError(where_, {Rule::kWireType, field});
  if (has(field)) return RuleError(where_, {Rule::kDuplicateField, field});
  seen_ |= 1u << field;
  if (field == kCompressedField) return TakeCompressed(cursor);
  if (field == kProducerField) return TakeProducer(cursor);
  uint64_t value;
  if (!cursor.ReadVarint(value)) return VarintError(cursor, field);
  if (field == kCompressionField) compression_ = value;
  if (field == kRecordCountField) record_count_ = value;
  if (field == kMaxTimestampField) max_timestamp_ms_ = static_cast<int64_t>(value);
  return absl::OkStatus();
}

absl::Status Walk::TakeCompressed(BatchCursor& cursor) {
  uint64_t length;
  if (!cursor.ReadLength(length)) return LengthError(cursor, kCompressedField);
  compressed_at_ = cursor.position();
  compressed_size_ = length;
  cursor.Skip(length);
  return absl::OkStatus();
}

absl::Status Walk::TakeProducer(BatchCursor& cursor) {
  uint64_t length;
  if (!cursor.ReadLength(length)) return LengthError(cursor, kProducerField);
  NARU_ASSIGN_OR_RETURN(info_.producer, WalkStamp(cursor.Take(length)));
  return absl::OkStatus();
}

absl::Status WalkCompressed(const absl::Cord& batch, const BatchLimits& limits, const Walk& outer,
                            BatchInfo& info) {
  NARU_ASSIGN_OR_RETURN(const std::string plain,
                        Decompress(info.codec, batch.Subcord(outer.compressed_at(), outer.compressed_size()),
                                   static_cast<size_t>(limits.batch_bytes_max)));
  Walk inner(limits, "batch.compressed", info);
  NARU_RETURN_IF_ERROR(inner.Run(BatchCursor(plain)));
  for (const uint32_t field :
       {kProducerField, kCompressionField, kRecordCountField, kMaxTimestampField, kCompressedField}) {
    if (inner.has(field)) return RuleError("batch.compressed", {Rule::kCompressedField, field});
  }
  info.records_bytes = static_cast<int64_t>(plain.size());
  return absl::OkStatus();
}

// Whether the batch's fields agree with one another and name a codec.
absl::Status CheckCodec(const Walk& walk) {
  const bool compressed = walk.has(kCompressedField);
  if (walk.compression() > static_cast<uint64_t>(Codec::kSnappy)) {
    return MakeError(Reason::kUnsupportedCompression,
                     absl::StrCat("batch.compression: ", walk.compression(),
                                  " is not allowed; 0 (none), 1 (gzip), 2 (lz4), 3 (zstd) or 4 (snappy)"));
  }
  if (compressed && walk.has(kRecordsField)) return RuleError("batch", {Rule::kRecordsAndCompressed});
  if (compressed && walk.compression() == 0) return RuleError("batch", {Rule::kCompressedWithoutCompression});
  if (!compressed && walk.compression() != 0)
    return RuleError("batch", {Rule::kCompressionWithoutCompressed});
  return absl::OkStatus();
}

// Whether what the client says about the records is so.
absl::Status CheckClaims(const Walk& walk, const BatchInfo& info) {
  if (info.record_count == 0) return RuleError("batch", {Rule::kNoRecords});
  const uint64_t count = walk.record_count();
  if (count != info.record_count && (count != 0 || info.codec != Codec::kNone)) {
    return RuleError(Rule::kRecordCount, "batch.record_count", absl::StrCat(count),
                     absl::StrCat(info.codec == Codec::kNone ? "0 or " : "a compressed batch gives ",
                                  "the number of its records, ", info.record_count));
  }
  if (walk.max_timestamp_ms() != 0 && walk.max_timestamp_ms() != info.max_timestamp_ms) {
    return RuleError(Rule::kMaxTimestamp, "batch.max_timestamp_ms", absl::StrCat(walk.max_timestamp_ms()),
                     absl::StrCat("0 or the greatest timestamp_ms of its records, ", info.max_timestamp_ms));
  }
  return absl::OkStatus();
}

absl::StatusOr<absl::Cord> CompressedBatch(Codec codec, std::string_view records, uint32_t record_count) {
  NARU_ASSIGN_OR_RETURN(std::string compressed, Compress(codec, records));
  std::string head;
  wire::AppendVarintField(head, kCompressionField, static_cast<uint64_t>(codec));
  wire::AppendVarintField(head, kRecordCountField, record_count);
  wire::AppendVarint(head, wire::Tag(kCompressedField, wire::Type::kLength));
  wire::AppendVarint(head, compressed.size());
  absl::Cord batch(std::move(head));
  batch.Append(std::move(compressed));
  return batch;
}

}  // namespace

absl::StatusOr<BatchInfo> WalkBatch(const absl::Cord& batch, const BatchLimits& limits) {
  BatchInfo info;
  if (batch.size() > static_cast<uint64_t>(limits.batch_bytes_max)) {
    return BytesError("batch", batch.size(), limits.batch_bytes_max, Reason::kBatchTooLarge);
  }
  info.size_bytes = static_cast<int64_t>(batch.size());
  info.crc32c = Crc32c(batch);
  Walk walk(limits, "batch", info);
  NARU_RETURN_IF_ERROR(walk.Run(BatchCursor(batch)));
  NARU_RETURN_IF_ERROR(CheckCodec(walk));
  info.codec = static_cast<Codec>(walk.compression());
  info.records_bytes = info.size_bytes;
  if (info.codec != Codec::kNone) NARU_RETURN_IF_ERROR(WalkCompressed(batch, limits, walk, info));
  NARU_RETURN_IF_ERROR(CheckClaims(walk, info));
  return info;
}

absl::Status ForEachRecord(const absl::Cord& batch, absl::FunctionRef<bool(const RecordView&)> visit) {
  NARU_ASSIGN_OR_RETURN(const StoredRecords records, StoredRecords::Of(batch));
  StoredRecords::Reader reader(records);
  std::string_view raw;
  while (reader.Next(raw)) {
    RecordFields fields;
    if (const Violation violation = WalkRecord(raw, fields)) {
      return CorruptBatch(absl::StrCat("a record breaks rule ", RuleName(violation.rule)));
    }
    RecordView view;
    view.raw = raw;
    view.timestamp_ms = fields.timestamp_ms;
    if (fields.has_key()) view.key = fields.key;
    if (fields.has_value()) view.value = fields.value;
    if (!visit(view)) return absl::OkStatus();
  }
  return reader.status();
}

void BatchBuilder::AddRaw(std::string_view raw_record) {
  wire::AppendBytesField(records_, kRecordsField, raw_record);
  ++record_count_;
}

absl::StatusOr<absl::Cord> BatchBuilder::Finish(Codec codec) {
  if (codec == Codec::kNone) return FinishPlain();
  absl::StatusOr<absl::Cord> batch = CompressedBatch(codec, records_, record_count_);
  records_.clear();
  record_count_ = 0;
  return batch;
}

absl::StatusOr<absl::Cord> BatchBuilder::FinishSmallest(Codec codec) {
  if (codec == Codec::kNone) return FinishPlain();
  NARU_ASSIGN_OR_RETURN(absl::Cord batch, CompressedBatch(codec, records_, record_count_));
  if (batch.size() > size_bytes()) return FinishPlain();
  records_.clear();
  record_count_ = 0;
  return batch;
}

absl::Cord BatchBuilder::FinishPlain() {
  record_count_ = 0;
  return absl::Cord(std::exchange(records_, {}));
}

}  // namespace naru
