// The protobuf wire format, as far as walking batches and requests needs it: varints, tags, lengths. Reads
// never run past the end and accept only what every conforming parser accepts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace naru::wire {

enum class Type : uint8_t {
  kVarint = 0,
  kFixed64 = 1,
  kLength = 2,
  kGroupStart = 3,
  kGroupEnd = 4,
  kFixed32 = 5
};

constexpr int kVarintBytesMax = 10;
// Parsers differ on lengths that are written longer.
constexpr int kLengthBytesMax = 5;

constexpr uint32_t Tag(uint32_t field, Type type) { return field << 3 | static_cast<uint32_t>(type); }

// Bytes that `value` takes as a varint, 1 to 10.
constexpr size_t VarintSize(uint64_t value) {
  size_t n = 1;
  while (value >= 0x80) {
    value >>= 7;
    ++n;
  }
  return n;
}

// Writes `value` at `to`, which has room for kVarintBytesMax, and returns the end.
inline char* PutVarint(char* to, uint64_t value) {
  while (value >= 0x80) {
    *to++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *to++ = static_cast<char>(value);
  return to;
}
inline void AppendVarint(std::string& to, uint64_t value) {
  char raw[kVarintBytesMax];
  to.append(raw, static_cast<size_t>(PutVarint(raw, value) - raw));
}
inline void AppendVarintField(std::string& to, uint32_t field, uint64_t value) {
  AppendVarint(to, Tag(field, Type::kVarint));
  AppendVarint(to, value);
}
inline void AppendBytesField(std::string& to, uint32_t field, std::string_view bytes) {
  AppendVarint(to, Tag(field, Type::kLength));
  AppendVarint(to, bytes.size());
  to.append(bytes);
}

// Reads a varint off the front of [*at, end). False: truncated, or longer than 10 bytes or 64 bits.
inline bool ReadVarint(const char*& at, const char* end, uint64_t& value) {
  if (at < end && static_cast<uint8_t>(*at) < 0x80) [[likely]] {
    value = static_cast<uint8_t>(*at++);
    return true;
  }
  uint64_t result = 0;
  const char* p = at;
  for (int shift = 0; shift < 70; shift += 7) {
    if (p == end) return false;
    const uint64_t byte = static_cast<uint8_t>(*p++);
    if (shift == 63 && byte > 1) return false;
    result |= (byte & 0x7f) << shift;
    if (byte < 0x80) {
      at = p;
      value = result;
      return true;
    }
  }
  return false;
}

// Takes a length of at most 5 bytes and as many bytes as it says off the front of [*at, end). False: there
// are none, and nothing is taken.
inline bool ReadBytes(const char*& at, const char* end, std::string_view& bytes) {
  uint64_t length;
  const char* p = at;
  if (!ReadVarint(p, end, length) || p - at > kLengthBytesMax || length > static_cast<uint64_t>(end - p))
    return false;
  bytes = std::string_view(p, length);
  at = p + length;
  return true;
}

// Passes over the value of a field with this tag. False: truncated, or of a group, or no field has such a
// tag.
inline bool SkipValue(const char*& at, const char* end, uint64_t tag) {
  if (tag > UINT32_MAX || tag >> 3 == 0) return false;
  uint64_t number;
  std::string_view bytes;
  const auto pass = [&at, end](ptrdiff_t size) {
    if (end - at < size) return false;
    at += size;
    return true;
  };
  switch (static_cast<Type>(tag & 7)) {
    case Type::kVarint:
      return ReadVarint(at, end, number);
    case Type::kLength:
      return ReadBytes(at, end, bytes);
    case Type::kFixed64:
      return pass(8);
    case Type::kFixed32:
      return pass(4);
    default:
      return false;
  }
}

}  // namespace naru::wire
