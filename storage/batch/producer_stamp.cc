#include "storage/batch/producer_stamp.h"

#include "absl/strings/str_cat.h"
#include "storage/base/status.h"
#include "storage/batch/batch_cursor.h"
#include "storage/batch/batch_rules.h"
#include "storage/batch/record_walk.h"
#include "storage/batch/stored_records.h"
#include "storage/batch/wire.h"

namespace naru {
namespace {

constexpr std::string_view kWhere = "batch.producer";
constexpr uint32_t kProducerIdField = 1;
constexpr uint32_t kEpochField = 2;
constexpr uint32_t kBaseSequenceField = 3;

absl::Status ValueError(std::string_view field, int64_t value, std::string_view allowed) {
  return RuleError(Rule::kProducer, absl::StrCat(kWhere, ".", field), absl::StrCat(value), allowed);
}

absl::Status CheckValues(const ProducerStamp& stamp) {
  if (stamp.producer_id < 1) return ValueError("producer_id", stamp.producer_id, "1 or more");
  if (stamp.epoch < 0) return ValueError("epoch", stamp.epoch, "0 or more");
  if (stamp.base_sequence < 0 || stamp.base_sequence > kBaseSequenceMax) {
    return ValueError("base_sequence", stamp.base_sequence, absl::StrCat("0 to ", kBaseSequenceMax));
  }
  return absl::OkStatus();
}

// Takes one field of a stamp off the front of [*at, end); `seen`: a bit for each that stood before.
absl::Status TakeStampField(const char*& at, const char* end, uint32_t& seen, ProducerStamp& stamp) {
  uint32_t field = 0;
  wire::Type type = wire::Type::kVarint;
  if (const Violation violation = record_walk::ReadTag(at, end, field, type)) {
    return RuleError(kWhere, violation);
  }
  if (field > kBaseSequenceField) {
    return MakeError(Reason::kUnknownBatchField,
                     absl::StrCat(kWhere, ": field ", field,
                                  " is not known here; fields 1, 2 and 3 are (naru/v1/types.proto)"),
                     {{"field", absl::StrCat(kProducerField, ".", field)}});
  }
  if (type != wire::Type::kVarint) return RuleError(kWhere, {Rule::kWireType, field});
  if ((seen >> field & 1) != 0) return RuleError(kWhere, {Rule::kDuplicateField, field});
  seen |= 1u << field;
  uint64_t value;
  if (!wire::ReadVarint(at, end, value)) return RuleError(kWhere, {record_walk::VarintRule(at, end), field});
  if (field == kProducerIdField) stamp.producer_id = static_cast<int64_t>(value);
  if (field == kEpochField) stamp.epoch = static_cast<int64_t>(value);
  if (field == kBaseSequenceField) stamp.base_sequence = static_cast<int64_t>(value);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ProducerStamp> WalkStamp(std::string_view raw) {
  ProducerStamp stamp;
  uint32_t seen = 0;
  const char* at = raw.data();
  const char* const end = at + raw.size();
  while (at != end) NARU_RETURN_IF_ERROR(TakeStampField(at, end, seen, stamp));
  NARU_RETURN_IF_ERROR(CheckValues(stamp));
  return stamp;
}

absl::StatusOr<std::optional<ProducerStamp>> StampOf(const absl::Cord& batch) {
  constexpr uint64_t kProducerTag = wire::Tag(kProducerField, wire::Type::kLength);
  BatchCursor cursor(batch);
  while (!cursor.done()) {
    uint64_t tag;
    uint64_t value;
    if (!cursor.ReadVarint(tag)) return CorruptBatch("its fields cannot be read");
    const auto type = static_cast<wire::Type>(tag & 7);
    if (type == wire::Type::kVarint ? !cursor.ReadVarint(value)
                                    : type != wire::Type::kLength || !cursor.ReadLength(value)) {
      return CorruptBatch("its fields cannot be read");
    }
    if (type == wire::Type::kVarint) continue;
    if (tag != kProducerTag) {
      cursor.Skip(value);
      continue;
    }
    const absl::StatusOr<ProducerStamp> stamp = WalkStamp(cursor.Take(value));
    if (!stamp.ok()) return CorruptBatch("its producer's stamp cannot be read");
    return std::optional(*stamp);
  }
  return std::optional<ProducerStamp>();
}

void AppendStampField(std::string& to, const ProducerStamp& stamp) {
  std::string raw;
  wire::AppendVarintField(raw, kProducerIdField, static_cast<uint64_t>(stamp.producer_id));
  wire::AppendVarintField(raw, kEpochField, static_cast<uint64_t>(stamp.epoch));
  wire::AppendVarintField(raw, kBaseSequenceField, static_cast<uint64_t>(stamp.base_sequence));
  wire::AppendBytesField(to, kProducerField, raw);
}

}  // namespace naru
