// The rules that a RecordBatch must keep (batch.h lists them), and the errors that name a broken one.
// Internal to storage/batch.
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"

namespace naru {

// Each is a value of the metadata `rule` of MALFORMED_BATCH, except kUtf8 (INVALID_UTF8).
enum class Rule : uint8_t {
  kKept = 0,
  // The wire format.
  kTruncated,
  kVarint,
  kFieldNumber,
  kWireType,
  kGroup,
  // Records.
  kOffsetSet,
  kNegativeTimestamp,
  kUtf8,
  // The batch.
  kDuplicateField,
  kNoRecords,
  kRecordsAndCompressed,
  kCompressedWithoutCompression,
  kCompressionWithoutCompressed,
  kRecordCount,
  kMaxTimestamp,
  kCompressed,
  kCompressedField,
  kProducer,
};

// A rule that bytes break, and the field (number) in which; 0 where no field could be read.
struct Violation {
  Rule rule = Rule::kKept;
  uint32_t field = 0;
  explicit operator bool() const { return rule != Rule::kKept; }
};

// The metadata value: "wire_type".
std::string_view RuleName(Rule rule);

// "`where`: what is allowed", for example where = "batch.records[3]".
absl::Status RuleError(std::string_view where, Violation violation);
// "`field`: `value` is not allowed; `allowed`".
absl::Status RuleError(Rule rule, std::string_view field, std::string_view value, std::string_view allowed);

}  // namespace naru
