#include "storage/batch/record_walk.h"

#include <cstring>

namespace naru {
namespace {

// Well-formed UTF-8 (RFC 3629): no surrogates, nothing above U+10FFFF, no longer form than needed.
bool IsUtf8(std::string_view text) {
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  const unsigned char* const end = at + text.size();
  const auto continues = [&at](int i) { return (at[i] & 0xc0) == 0x80; };
  while (at != end) {
    if (end - at >= 8) {
      uint64_t word;
      std::memcpy(&word, at, sizeof word);
      if ((word & 0x8080808080808080u) == 0) {
        at += sizeof word;
        continue;
      }
    }
    const unsigned char first = *at;
    if (first < 0x80) {
      at += 1;
      continue;
    }
    if (first < 0xc2 || first > 0xf4) return false;
    if (first < 0xe0) {
      if (end - at < 2 || !continues(1)) return false;
      at += 2;
    } else if (first < 0xf0) {
      if (end - at < 3 || !continues(1) || !continues(2)) return false;
      if ((first == 0xe0 && at[1] < 0xa0) || (first == 0xed && at[1] > 0x9f)) return false;
      at += 3;
    } else {
      if (end - at < 4 || !continues(1) || !continues(2) || !continues(3)) return false;
      if ((first == 0xf0 && at[1] < 0x90) || (first == 0xf4 && at[1] > 0x8f)) return false;
      at += 4;
    }
  }
  return true;
}

}  // namespace

namespace record_walk {

Rule VarintRule(const char* at, const char* end) {
  for (int i = 0; i < wire::kVarintBytesMax; ++i, ++at) {
    if (at == end) return Rule::kTruncated;
    if (static_cast<uint8_t>(*at) < 0x80) break;
  }
  return Rule::kVarint;
}

Rule LengthRule(const char* at, const char* end) {
  uint64_t length;
  const char* p = at;
  if (!wire::ReadVarint(p, end, length)) return VarintRule(at, end);
  return p - at > wire::kLengthBytesMax ? Rule::kVarint : Rule::kTruncated;
}

Violation ReadTag(const char*& at, const char* end, uint32_t& field, wire::Type& type) {
  uint64_t tag;
  const char* p = at;
  if (!wire::ReadVarint(p, end, tag)) return {VarintRule(at, end)};
  if (static_cast<size_t>(p - at) != wire::VarintSize(tag)) return {Rule::kVarint};
  if (tag > UINT32_MAX || tag >> 3 == 0) return {Rule::kFieldNumber};
  field = static_cast<uint32_t>(tag >> 3);
  const uint32_t wire_type = tag & 7;
  if (wire_type == 3 || wire_type == 4) return {Rule::kGroup, field};
  if (wire_type > 5) return {Rule::kWireType, field};
  type = static_cast<wire::Type>(wire_type);
  at = p;
  return {};
}

Violation SkipUnknown(const char*& at, const char* end, uint32_t known_fields) {
  uint32_t field = 0;
  wire::Type type = wire::Type::kVarint;
  if (const Violation violation = ReadTag(at, end, field, type)) return violation;
  if (field < 32 && (known_fields >> field & 1) != 0) {
    // A known field that comes here has the wrong wire type, but for the offset, which is never right.
    if (field == 15 && type == wire::Type::kVarint) return {Rule::kOffsetSet, field};
    return {Rule::kWireType, field};
  }
  uint64_t value;
  std::string_view bytes;
  const ptrdiff_t left = end - at;
  switch (type) {
    case wire::Type::kVarint:
      if (!wire::ReadVarint(at, end, value)) return {VarintRule(at, end), field};
      return {};
    case wire::Type::kLength:
      if (!wire::ReadBytes(at, end, bytes)) return {LengthRule(at, end), field};
      return {};
    case wire::Type::kFixed64:
      if (left < 8) return {Rule::kTruncated, field};
      at += 8;
      return {};
    case wire::Type::kFixed32:
      if (left < 4) return {Rule::kTruncated, field};
      at += 4;
      return {};
    case wire::Type::kGroupStart:
    case wire::Type::kGroupEnd:
      break;
  }
  return {Rule::kGroup, field};
}

Violation WalkHeader(std::string_view raw) {
  const char* at = raw.data();
  const char* const end = at + raw.size();
  std::string_view bytes;
  while (at != end) {
    switch (static_cast<uint8_t>(*at)) {
      case wire::Tag(1, wire::Type::kLength):
        if (!wire::ReadBytes(++at, end, bytes)) return {LengthRule(at, end), 3};
        if (!IsUtf8(bytes)) return {Rule::kUtf8, 3};
        break;
      case wire::Tag(2, wire::Type::kLength):
        if (!wire::ReadBytes(++at, end, bytes)) return {LengthRule(at, end), 3};
        break;
      default:
        if (const Violation violation = SkipUnknown(at, end, kHeaderFields)) return {violation.rule, 3};
    }
  }
  return {};
}

}  // namespace record_walk
}  // namespace naru
