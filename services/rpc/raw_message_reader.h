// Reads the top-level fields of a protobuf message from its raw bytes, so that a large field can be taken out
// as a piece of the request instead of being decoded and copied. It accepts what every conforming parser
// accepts, apart from tags and varints that do not fit their type. Unknown fields, groups too, are stepped
// over by its caller. Not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "storage/batch/wire.h"

namespace naru::services {

struct RawField {
  uint32_t number = 0;
  wire::Type type = wire::Type::kVarint;
  // Of kVarint, kFixed64 and kFixed32.
  uint64_t value = 0;
  // Of kLength: shares the message's bytes. A group has neither.
  absl::Cord bytes;
};

class RawMessageReader {
 public:
  // `name`, as in "ProduceRequest", is for errors. Both outlive the reader.
  RawMessageReader(const absl::Cord& message, std::string_view name);

  // Reads the next field, false at the end. INVALID_FIELD (metadata field = name, value = what is wrong) when
  // the bytes are not a protobuf message.
  absl::StatusOr<bool> Next(RawField& field);

 private:
  bool ReadVarint(uint64_t& value, size_t bytes_max = wire::kVarintBytesMax);
  bool ReadFixed(int bytes, uint64_t& value);
  bool ReadBytes(absl::Cord& bytes);
  bool Skip(size_t bytes);
  // Reads a tag; false when it is none.
  bool ReadTag(uint32_t& number, uint32_t& type);
  // Steps over a group up to its end tag.
  bool SkipGroup(uint32_t number, int depth);
  bool SkipValue(uint32_t number, uint32_t type, int depth);
  absl::Status Broken(std::string_view what) const;

  const std::string_view name_;
  absl::Cord::CharIterator at_;
  size_t left_;
};

// INVALID_FIELD unless `field` has the wire type that `name` is sent with.
absl::Status CheckWireType(const RawField& field, wire::Type type, std::string_view name);

}  // namespace naru::services
