// Batches for tests: written field by field, so that they may also be wrong, or from messages.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"
#include "naru/v1/types.pb.h"
#include "storage/batch/batch.h"
#include "storage/batch/compression.h"
#include "storage/batch/wire.h"

namespace naru::batch_bytes {

inline constexpr BatchLimits kLimits;

inline std::string Varint(uint32_t field, uint64_t value) {
  std::string bytes;
  wire::AppendVarintField(bytes, field, value);
  return bytes;
}
inline std::string Bytes(uint32_t field, std::string_view value) {
  std::string bytes;
  wire::AppendBytesField(bytes, field, value);
  return bytes;
}
// A tag alone.
inline std::string TagOf(uint32_t field, uint32_t wire_type) {
  std::string bytes;
  wire::AppendVarint(bytes, uint64_t{field} << 3 | wire_type);
  return bytes;
}

// The field `records` with one Record of these bytes.
inline std::string RecordField(std::string_view record) { return Bytes(15, record); }
// A Record's bytes; timestamp 0 is left out.
inline std::string Record(std::string_view key, std::string_view value, uint64_t timestamp_ms = 0) {
  std::string record = Bytes(1, key) + Bytes(2, value);
  if (timestamp_ms != 0) record += Varint(4, timestamp_ms);
  return record;
}
inline std::string Keyless(std::string_view value) { return Bytes(2, value); }

inline std::string Batch(const std::vector<std::string>& records) {
  std::string batch;
  for (const std::string& record : records) batch += RecordField(record);
  return batch;
}

// The field `producer`, in the order of the fields' numbers.
inline std::string StampField(int64_t producer_id, int64_t epoch, int64_t base_sequence) {
  return Bytes(1, Varint(1, static_cast<uint64_t>(producer_id)) + Varint(2, static_cast<uint64_t>(epoch)) +
                      Varint(3, static_cast<uint64_t>(base_sequence)));
}

// A compressed batch around the bytes of another.
inline std::string Compressed(Codec codec, std::string_view plain, uint64_t record_count) {
  return Varint(2, static_cast<uint64_t>(codec)) + Varint(3, record_count) +
         Bytes(14, *Compress(codec, plain));
}

// `bytes` in chunks of `chunk_bytes`, which refer to `bytes`.
inline absl::Cord InChunks(const std::string& bytes, size_t chunk_bytes) {
  absl::Cord cord;
  for (size_t at = 0; at < bytes.size(); at += chunk_bytes) {
    const size_t n = std::min(chunk_bytes, bytes.size() - at);
    cord.Append(absl::MakeCordFromExternal(absl::string_view(bytes.data() + at, n), [] {}));
  }
  return cord;
}
absl::Cord InChunks(std::string&& bytes, size_t chunk_bytes) = delete;
// `bytes` in two chunks.
inline absl::Cord SplitAt(const std::string& bytes, size_t at) {
  absl::Cord cord = absl::MakeCordFromExternal(absl::string_view(bytes.data(), at), [] {});
  cord.Append(absl::MakeCordFromExternal(absl::string_view(bytes.data() + at, bytes.size() - at), [] {}));
  return cord;
}

inline naru::v1::RecordBatch Parse(const absl::Cord& batch) {
  naru::v1::RecordBatch message;
  if (!message.ParseFromString(std::string(batch))) message.set_record_count(0xbad);
  return message;
}

constexpr Codec kCodecs[] = {Codec::kGzip, Codec::kLz4, Codec::kZstd, Codec::kSnappy};

}  // namespace naru::batch_bytes
