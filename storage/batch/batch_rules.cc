#include "storage/batch/batch_rules.h"

#include <array>
#include <string>

#include "absl/strings/str_cat.h"
#include "storage/base/status.h"

namespace naru {
namespace {

struct RuleEntry {
  Rule rule;
  std::string_view name;
  std::string_view allowed;
};

constexpr std::array kRules = {
    RuleEntry{Rule::kKept, "", ""},
    RuleEntry{Rule::kTruncated, "truncated", "a field must end within the message that holds it"},
    RuleEntry{
        Rule::kVarint, "varint",
        "a varint takes at most 10 bytes and 64 bits, a length at most 5 bytes, a tag no more than it needs"},
    RuleEntry{Rule::kFieldNumber, "field_number", "field numbers go from 1 to 536870911"},
    RuleEntry{Rule::kWireType, "wire_type",
              "a field must have the wire type that naru/v1/types.proto gives it"},
    RuleEntry{Rule::kGroup, "group", "groups (wire types 3 and 4) are not allowed"},
    RuleEntry{Rule::kOffsetSet, "offset_set", "offset must not be set, the broker assigns it"},
    RuleEntry{Rule::kNegativeTimestamp, "negative_timestamp",
              "timestamp_ms must be 0 (the time of the append) or more"},
    RuleEntry{Rule::kUtf8, "utf8", "a header key must be UTF-8"},
    RuleEntry{Rule::kDuplicateField, "duplicate_field", "only records may stand more than once"},
    RuleEntry{Rule::kNoRecords, "no_records", "a batch holds at least one record"},
    RuleEntry{Rule::kRecordsAndCompressed, "records_and_compressed",
              "a batch holds either records or compressed, not both"},
    RuleEntry{Rule::kCompressedWithoutCompression, "compressed_without_compression",
              "compressed needs compression to name the codec (1 gzip, 2 lz4, 3 zstd, 4 snappy)"},
    RuleEntry{Rule::kCompressionWithoutCompressed, "compression_without_compressed",
              "with compression set, the records stand in compressed"},
    RuleEntry{Rule::kRecordCount, "record_count", "record_count must be the number of records"},
    RuleEntry{Rule::kMaxTimestamp, "max_timestamp", "max_timestamp_ms must be the greatest timestamp_ms"},
    RuleEntry{Rule::kCompressed, "compressed", "compressed must be exactly one member or frame of the codec"},
    RuleEntry{Rule::kCompressedField, "compressed_field", "compressed holds a RecordBatch with only records"},
    RuleEntry{Rule::kProducer, "producer", "a producer's stamp holds what InitProducer gave, and a sequence"},
};

constexpr bool InOrder() {
  for (size_t i = 0; i < kRules.size(); ++i) {
    if (static_cast<size_t>(kRules[i].rule) != i) return false;
  }
  return true;
}
static_assert(InOrder());

const RuleEntry& EntryOf(Rule rule) { return kRules[static_cast<size_t>(rule)]; }

absl::Status Make(Rule rule, std::string_view message) {
  if (rule == Rule::kUtf8) return MakeError(Reason::kInvalidUtf8, message);
  return MakeError(Reason::kMalformedBatch, message, {{"rule", std::string(RuleName(rule))}});
}

}  // namespace

std::string_view RuleName(Rule rule) { return EntryOf(rule).name; }

absl::Status RuleError(std::string_view where, Violation violation) {
  const std::string_view allowed = EntryOf(violation.rule).allowed;
  if (violation.field == 0) return Make(violation.rule, absl::StrCat(where, ": ", allowed));
  return Make(violation.rule, absl::StrCat(where, ": field ", violation.field, ": ", allowed));
}

absl::Status RuleError(Rule rule, std::string_view field, std::string_view value, std::string_view allowed) {
  return Make(rule, absl::StrCat(field, ": ", value, " is not allowed; ", allowed));
}

}  // namespace naru
