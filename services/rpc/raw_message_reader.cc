#include "services/rpc/raw_message_reader.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::services {
namespace {

// As protobuf's parsers limit the nesting of what they step over.
constexpr int kGroupDepthMax = 100;
constexpr uint64_t kLengthMax = INT32_MAX;
// As many as they read of a tag or a length.
constexpr size_t kShortVarintBytesMax = 5;

}  // namespace

RawMessageReader::RawMessageReader(const absl::Cord& message, std::string_view name)
    : name_(name), at_(message.char_begin()), left_(message.size()) {}

absl::StatusOr<bool> RawMessageReader::Next(RawField& field) {
  if (left_ == 0) return false;
  uint32_t type = 0;
  if (!ReadTag(field.number, type)) return Broken("a field that has no valid tag");
  field.type = static_cast<wire::Type>(type);
  field.value = 0;
  field.bytes.Clear();
  bool read = false;
  switch (field.type) {
    case wire::Type::kVarint:
      read = ReadVarint(field.value);
      break;
    case wire::Type::kFixed64:
      read = ReadFixed(8, field.value);
      break;
    case wire::Type::kFixed32:
      read = ReadFixed(4, field.value);
      break;
    case wire::Type::kLength:
      read = ReadBytes(field.bytes);
      break;
    case wire::Type::kGroupStart:
      read = SkipGroup(field.number, 1);
      break;
    case wire::Type::kGroupEnd:
      break;
  }
  if (!read) return Broken(absl::StrCat("field ", field.number, ", which is cut short or malformed"));
  return true;
}

bool RawMessageReader::ReadVarint(uint64_t& value, size_t bytes_max) {
  char raw[wire::kVarintBytesMax];
  size_t size = 0;
  while (left_ > 0 && size < bytes_max) {
    raw[size] = *at_;
    ++at_;
    --left_;
    if (static_cast<uint8_t>(raw[size++]) < 0x80) break;
  }
  const char* at = raw;
  return wire::ReadVarint(at, raw + size, value) && at == raw + size;
}

bool RawMessageReader::ReadFixed(int bytes, uint64_t& value) {
  if (left_ < static_cast<size_t>(bytes)) return false;
  value = 0;
  for (int i = 0; i < bytes; ++i, ++at_)
    value |= static_cast<uint64_t>(static_cast<uint8_t>(*at_)) << (8 * i);
  left_ -= static_cast<size_t>(bytes);
  return true;
}

bool RawMessageReader::ReadBytes(absl::Cord& bytes) {
  uint64_t length = 0;
  if (!ReadVarint(length, kShortVarintBytesMax) || length > std::min<uint64_t>(left_, kLengthMax))
    return false;
  bytes = absl::Cord::AdvanceAndRead(&at_, length);
  left_ -= length;
  return true;
}

bool RawMessageReader::Skip(size_t bytes) {
  if (bytes > left_) return false;
  absl::Cord::Advance(&at_, bytes);
  left_ -= bytes;
  return true;
}

bool RawMessageReader::ReadTag(uint32_t& number, uint32_t& type) {
  uint64_t tag = 0;
  if (!ReadVarint(tag, kShortVarintBytesMax) || tag > UINT32_MAX) return false;
  number = static_cast<uint32_t>(tag >> 3);
  type = static_cast<uint32_t>(tag & 7);
  return number != 0 && type <= static_cast<uint32_t>(wire::Type::kFixed32);
}

bool RawMessageReader::SkipGroup(uint32_t number, int depth) {
  if (depth > kGroupDepthMax) return false;
  while (left_ > 0) {
    uint32_t inner = 0;
    uint32_t type = 0;
    if (!ReadTag(inner, type)) return false;
    if (static_cast<wire::Type>(type) == wire::Type::kGroupEnd) return inner == number;
    if (!SkipValue(inner, type, depth)) return false;
  }
  return false;
}

bool RawMessageReader::SkipValue(uint32_t number, uint32_t type, int depth) {
  uint64_t value = 0;
  switch (static_cast<wire::Type>(type)) {
    case wire::Type::kVarint:
      return ReadVarint(value);
    case wire::Type::kFixed64:
      return Skip(8);
    case wire::Type::kFixed32:
      return Skip(4);
    case wire::Type::kLength:
      return ReadVarint(value, kShortVarintBytesMax) && value <= kLengthMax && Skip(value);
    case wire::Type::kGroupStart:
      return SkipGroup(number, depth + 1);
    case wire::Type::kGroupEnd:
      break;
  }
  return false;
}

absl::Status RawMessageReader::Broken(std::string_view what) const {
  return InvalidField(name_, what, "the bytes must be a protobuf message");
}

absl::Status CheckWireType(const RawField& field, wire::Type type, std::string_view name) {
  if (field.type == type) return absl::OkStatus();
  return InvalidField(name, absl::StrCat("wire type ", static_cast<int>(field.type)),
                      absl::StrCat("it is sent with wire type ", static_cast<int>(type)));
}

}  // namespace naru::services
