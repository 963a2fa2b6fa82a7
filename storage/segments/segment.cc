#include "storage/segments/segment.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "storage/base/coding.h"
#include "storage/base/crc32c.h"
#include "storage/base/status.h"

namespace naru {
namespace {

constexpr std::string_view kMagic = "NARUSEG1";
constexpr size_t kCoveredBytes = 40;
constexpr size_t kNameDigits = 16;
constexpr std::string_view kSuffix = ".seg";

}  // namespace

std::string EncodeSegmentHeader(const SegmentHeader& header) {
  std::string block(kMagic);
  AppendLittle<uint32_t>(block, header.version);
  AppendLittle<uint32_t>(block, header.salt);
  AppendLittle<uint64_t>(block, header.id.value());
  AppendLittle<uint64_t>(block, header.first_sequence.value());
  AppendLittle<int64_t>(block, header.created_ms);
  AppendLittle<uint32_t>(block, Crc32c(std::string_view(block)));
  block.resize(kSegmentHeaderBytes, '\0');
  return block;
}

absl::StatusOr<std::optional<SegmentHeader>> DecodeSegmentHeader(std::string_view block) {
  if (std::all_of(block.begin(), block.end(), [](char c) { return c == 0; })) return std::nullopt;
  if (block.size() < kSegmentHeaderBytes) return absl::DataLossError("the header block is cut short");
  if (block.substr(0, kMagic.size()) != kMagic)
    return absl::DataLossError("the header block lacks its magic");
  LittleReader reader(block.substr(kMagic.size()));
  SegmentHeader header;
  header.version = reader.Take<uint32_t>();
  header.salt = reader.Take<uint32_t>();
  header.id = SegmentId(reader.Take<uint64_t>());
  header.first_sequence = Sequence(reader.Take<uint64_t>());
  header.created_ms = reader.Take<int64_t>();
  if (reader.Take<uint32_t>() != Crc32c(block.substr(0, kCoveredBytes))) {
    return absl::DataLossError("the header block fails its checksum");
  }
  if (header.version < kFormatVersionMin || header.version > kFormatVersion) {
    return absl::InvalidArgumentError(absl::StrCat("format version ", header.version,
                                                   "; this program reads versions ", kFormatVersionMin,
                                                   " to ", kFormatVersion));
  }
  return header;
}

std::string SegmentFileName(SegmentId id) {
  char name[kNameDigits + 8];
  std::snprintf(name, sizeof name, "%016llx.seg", static_cast<unsigned long long>(id.value()));
  return name;
}

std::optional<SegmentId> SegmentIdFromFileName(std::string_view name) {
  if (name.size() != kNameDigits + kSuffix.size() || !name.ends_with(kSuffix)) return std::nullopt;
  uint64_t id = 0;
  const char* end = name.data() + kNameDigits;
  const auto parsed = std::from_chars(name.data(), end, id, 16);
  if (parsed.ec != std::errc() || parsed.ptr != end || id == 0) return std::nullopt;
  return SegmentId(id);
}

}  // namespace naru
