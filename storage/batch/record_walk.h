// Reads one Record message where it lies, and checks it on the way. Internal to storage/batch; pure,
// thread-safe.
//
// What is found is what every protobuf parser would find: where a field stands more than once the last one
// wins. Bytes on which parsers disagree are refused: tags longer than they need be (some decoders look fields
// up by the tag's bytes), groups, lengths of more than 5 bytes, varints beyond 64 bits.
#pragma once

#include <cstdint>
#include <string_view>

#include "storage/batch/batch_rules.h"
#include "storage/batch/wire.h"

namespace naru {

// Fields of a record. A view whose data() is null stands for an absent field.
struct RecordFields {
  std::string_view key;
  std::string_view value;
  int64_t timestamp_ms = 0;
  bool has_key() const { return key.data() != nullptr; }
  bool has_value() const { return value.data() != nullptr; }
};

namespace record_walk {

// Bit n: field n is known. All known fields are length-delimited but a record's timestamp_ms and offset.
constexpr uint32_t kRecordFields = 1u << 1 | 1u << 2 | 1u << 3 | 1u << 4 | 1u << 15;
constexpr uint32_t kHeaderFields = 1u << 1 | 1u << 2;

// Why the varint at `at` cannot be read.
Rule VarintRule(const char* at, const char* end);

// Why wire::ReadBytes said no.
Rule LengthRule(const char* at, const char* end);

// Reads a tag, which must be as short as it can be, and neither of a group nor of an unassigned wire type.
Violation ReadTag(const char*& at, const char* end, uint32_t& field, wire::Type& type);

// Passes over the field at `at`: an unknown one is well-formed, a known one (see kRecordFields) is out of
// place.
Violation SkipUnknown(const char*& at, const char* end, uint32_t known_fields);

Violation WalkHeader(std::string_view raw);

}  // namespace record_walk

// Checks the Record message `raw` and says what is in it.
inline Violation WalkRecord(std::string_view raw, RecordFields& found) {
  using record_walk::LengthRule;
  const char* at = raw.data();
  const char* const end = at + raw.size();
  while (at != end) {
    switch (static_cast<uint8_t>(*at)) {
      case wire::Tag(1, wire::Type::kLength):
        if (!wire::ReadBytes(++at, end, found.key)) [[unlikely]]
          return {LengthRule(at, end), 1};
        break;
      case wire::Tag(2, wire::Type::kLength):
        if (!wire::ReadBytes(++at, end, found.value)) [[unlikely]]
          return {LengthRule(at, end), 2};
        break;
      case wire::Tag(3, wire::Type::kLength): {
        std::string_view header;
        if (!wire::ReadBytes(++at, end, header)) [[unlikely]]
          return {LengthRule(at, end), 3};
        if (const Violation violation = record_walk::WalkHeader(header)) [[unlikely]]
          return violation;
        break;
      }
      case wire::Tag(4, wire::Type::kVarint): {
        uint64_t value;
        if (!wire::ReadVarint(++at, end, value)) [[unlikely]]
          return {record_walk::VarintRule(at, end), 4};
        found.timestamp_ms = static_cast<int64_t>(value);
        if (found.timestamp_ms < 0) [[unlikely]]
          return {Rule::kNegativeTimestamp, 4};
        break;
      }
      default:
        if (const Violation violation = record_walk::SkipUnknown(at, end, record_walk::kRecordFields))
            [[unlikely]]
          return violation;
    }
  }
  return {};
}

}  // namespace naru
