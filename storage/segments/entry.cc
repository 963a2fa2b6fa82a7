#include "storage/segments/entry.h"

#include <algorithm>

#include "storage/base/coding.h"
#include "storage/base/crc32c.h"
#include "storage/batch/wire.h"

namespace naru {
namespace {

constexpr size_t kCrcBytes = 4;

bool KnownType(uint8_t type) {
  return type >= static_cast<uint8_t>(EntryType::kBatch) && type <= static_cast<uint8_t>(EntryType::kRewrite);
}

}  // namespace

void EncodeOffsetDeltas(const std::vector<uint32_t>& deltas, std::string& to) {
  uint32_t next = 0;
  for (const uint32_t delta : deltas) {
    wire::AppendVarint(to, delta - next);
    next = delta + 1;
  }
}

bool DecodeOffsetDeltas(std::string_view bytes, uint32_t count, uint32_t below,
                        std::vector<uint32_t>& deltas) {
  deltas.clear();
  const char* at = bytes.data();
  const char* const end = at + bytes.size();
  uint64_t next = 0;
  for (uint32_t i = 0; i < count; ++i) {
    uint64_t gap;
    if (!wire::ReadVarint(at, end, gap) || gap >= below || next + gap >= below) return false;
    deltas.push_back(static_cast<uint32_t>(next + gap));
    next += gap + 1;
  }
  return at == end;
}

void AppendEntryHeader(const EntryHeader& header, uint32_t salt, std::string& to) {
  const size_t begin = to.size();
  AppendLittle<uint32_t>(to, 0);
  AppendLittle<uint32_t>(to, header.body_crc);
  AppendLittle<uint32_t>(to, header.body_length);
  AppendLittle<uint8_t>(to, static_cast<uint8_t>(header.type));
  AppendLittle<uint8_t>(to, header.flags);
  AppendLittle<uint16_t>(to, 0);
  AppendLittle<uint64_t>(to, header.sequence.value());
  AppendLittle<uint64_t>(to, header.durable_sequence.value());
  AppendLittle<uint64_t>(to, header.log.value());
  AppendLittle<int64_t>(to, header.base_offset.value());
  AppendLittle<int64_t>(to, header.append_time_ms);
  AppendLittle<int64_t>(to, header.max_timestamp_ms);
  AppendLittle<int32_t>(to, header.leader_epoch.value());
  AppendLittle<uint32_t>(to, header.record_count);
  if (header.Has(kRunStart)) {
    AppendLittle<int64_t>(to, header.bytes_before);
    AppendLittle<int64_t>(to, header.max_timestamp_before);
  }
  if (header.Has(kHasProducer)) {
    AppendLittle<int64_t>(to, header.producer_id);
    AppendLittle<int64_t>(to, header.producer_epoch);
    AppendLittle<int64_t>(to, header.producer_sequence);
  }
  if (header.Has(kThinned)) {
    AppendLittle<uint32_t>(to, header.records_left);
    AppendLittle<uint32_t>(to, header.deltas_length);
    AppendLittle<uint32_t>(to, header.batch_crc);
    AppendLittle<uint32_t>(to, 0);
    AppendLittle<int64_t>(to, header.appended_bytes);
  }
  const std::string_view covered = std::string_view(to).substr(begin + kCrcBytes);
  PutLittle<uint32_t>(to.data() + begin, ExtendCrc32c(salt, covered));
}

HeaderCheck ParseEntryHeader(std::string_view bytes, uint32_t salt, EntryHeader& header) {
  const std::string_view fixed = bytes.substr(0, kFixedHeaderBytes);
  if (std::all_of(fixed.begin(), fixed.end(), [](char c) { return c == 0; })) return HeaderCheck::kZero;
  if (fixed.size() < kFixedHeaderBytes) return HeaderCheck::kBad;
  LittleReader reader(bytes);
  const auto crc = reader.Take<uint32_t>();
  header.body_crc = reader.Take<uint32_t>();
  header.body_length = reader.Take<uint32_t>();
  const auto type = reader.Take<uint8_t>();
  header.flags = reader.Take<uint8_t>();
  const auto reserved = reader.Take<uint16_t>();
  if (!KnownType(type) || (header.flags & ~kKnownFlags) != 0 || reserved != 0) return HeaderCheck::kBad;
  header.type = static_cast<EntryType>(type);
  if (bytes.size() < header.header_bytes()) return HeaderCheck::kBad;
  if (ExtendCrc32c(salt, bytes.substr(kCrcBytes, header.header_bytes() - kCrcBytes)) != crc)
    return HeaderCheck::kBad;
  header.sequence = Sequence(reader.Take<uint64_t>());
  header.durable_sequence = Sequence(reader.Take<uint64_t>());
  header.log = LogId(reader.Take<uint64_t>());
  header.base_offset = Offset(reader.Take<int64_t>());
  header.append_time_ms = reader.Take<int64_t>();
  header.max_timestamp_ms = reader.Take<int64_t>();
  header.leader_epoch = LeaderEpoch(reader.Take<int32_t>());
  header.record_count = reader.Take<uint32_t>();
  header.bytes_before = header.max_timestamp_before = 0;
  header.producer_id = header.producer_epoch = header.producer_sequence = 0;
  header.records_left = header.deltas_length = header.batch_crc = 0;
  header.appended_bytes = 0;
  if (header.Has(kRunStart)) {
    header.bytes_before = reader.Take<int64_t>();
    header.max_timestamp_before = reader.Take<int64_t>();
  }
  if (header.Has(kHasProducer)) {
    header.producer_id = reader.Take<int64_t>();
    header.producer_epoch = reader.Take<int64_t>();
    header.producer_sequence = reader.Take<int64_t>();
  }
  if (header.Has(kThinned)) {
    header.records_left = reader.Take<uint32_t>();
    header.deltas_length = reader.Take<uint32_t>();
    header.batch_crc = reader.Take<uint32_t>();
    const auto zero = reader.Take<uint32_t>();
    header.appended_bytes = reader.Take<int64_t>();
    if (zero != 0 || header.type != EntryType::kBatch || header.records_left > header.record_count ||
        header.deltas_length > header.body_length) {
      return HeaderCheck::kBad;
    }
  }
  return HeaderCheck::kGood;
}

}  // namespace naru
