// What a client's RecordBatch holds, found out by walking its raw bytes once. The bytes are never trusted,
// never re-encoded: they are stored as they came. All functions here are pure and thread-safe.
//
// The rules (each with a test in tests/storage/batch; source: proto/naru/v1/types.proto):
//   - a batch field that stands twice (other than `records`), a known field with the wrong wire type,
//     a group, a truncated or over-long varint, a length past the end, a field number out of range, a tag
//     written longer than it need be: MALFORMED_BATCH, metadata `rule` (batch_rules.cc has the table);
//   - a record field that stands twice is no error: the last one wins, as in every protobuf parser;
//   - an unknown batch field, or one in the producer's stamp: UNKNOWN_BATCH_FIELD; unknown record and header
//     fields pass through;
//   - a producer's stamp that is no such message, holds a field twice, or a value that is out of range;
//   - a record with `offset`, or with a negative timestamp: MALFORMED_BATCH;
//   - a header key that is not UTF-8: INVALID_UTF8;
//   - no records, both `records` and `compressed`, `compressed` without `compression` or the reverse;
//   - record_count or max_timestamp_ms that is given and not true; a compressed batch must give record_count;
//   - a compressed batch is decompressed under a cap and walked in the same way: it may hold only `records`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "storage/base/status.h"
#include "storage/batch/producer_stamp.h"

namespace naru {

// Values as in proto/naru/v1/types.proto.
enum class Codec : uint8_t { kNone = 0, kGzip = 1, kLz4 = 2, kZstd = 3, kSnappy = 4 };

// No limit of BatchLimits may be set above this: what is read back from a log is decompressed up to here.
constexpr int64_t kBatchBytesCeiling = int64_t{64} << 20;

struct BatchLimits {
  // Bytes of one Record message. Option: the topic's max_record_bytes.
  int64_t record_bytes_max = 1 << 20;
  // Bytes of the RecordBatch message as sent, and again of what is in it decompressed.
  int64_t batch_bytes_max = 2 << 20;
  int64_t records_max = 100'000;
};

// Findings about a valid batch.
struct BatchInfo {
  // Bytes of the RecordBatch message as sent.
  int64_t size_bytes = 0;
  // Bytes of the RecordBatch that holds the records: the one sent, or the one found in `compressed`.
  int64_t records_bytes = 0;
  uint32_t record_count = 0;
  Codec codec = Codec::kNone;
  // The greatest timestamp_ms given, 0 if none was.
  int64_t max_timestamp_ms = 0;
  // Some record leaves its timestamp to the broker.
  bool needs_append_time = false;
  // Some record has a key / has none.
  bool has_keyed = false;
  bool has_keyless = false;
  // CRC-32C of the RecordBatch's raw bytes.
  uint32_t crc32c = 0;
  // Whose batch it is, if it says so.
  std::optional<ProducerStamp> producer;
};

// Walks `batch`, the bytes of a RecordBatch message. O(bytes); copies only records that straddle two chunks.
absl::StatusOr<BatchInfo> WalkBatch(const absl::Cord& batch, const BatchLimits& limits);

// One record of a walked batch. Views are valid during the visit.
struct RecordView {
  std::string_view raw;  // the Record message
  std::optional<std::string_view> key;
  std::optional<std::string_view> value;
  int64_t timestamp_ms = 0;  // as sent, 0 when absent
};

// Visits the records of a batch that WalkBatch accepted, in order, decompressing where necessary; stops when
// `visit` says false. DATA_LOSS when the bytes are not a valid batch after all.
absl::Status ForEachRecord(const absl::Cord& batch, absl::FunctionRef<bool(const RecordView&)> visit);

// The codec of a valid batch, found without decompressing.
absl::StatusOr<Codec> CodecOf(const absl::Cord& batch);

// Builds a RecordBatch of raw Record messages, compressed with `codec`, with record_count set when
// compressed.
class BatchBuilder {
 public:
  void AddRaw(std::string_view raw_record);
  uint32_t record_count() const { return record_count_; }
  // Bytes so far, uncompressed.
  size_t size_bytes() const { return records_.size(); }
  // The batch; the builder is empty afterwards.
  absl::StatusOr<absl::Cord> Finish(Codec codec);
  // As Finish, but not compressed where that would make the batch larger. The records stay when it fails.
  absl::StatusOr<absl::Cord> FinishSmallest(Codec codec);

 private:
  absl::Cord FinishPlain();

  std::string records_;
  uint32_t record_count_ = 0;
};

}  // namespace naru
