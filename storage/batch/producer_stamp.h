// Whose batch a batch is, and which one of his: what an idempotent producer (KIP-98) writes into the field
// `producer` of its RecordBatch. Pure, thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/strings/cord.h"

namespace naru {

// Sequences count records, per producer and log.
struct ProducerStamp {
  int64_t producer_id = 0;
  int64_t epoch = 0;
  int64_t base_sequence = 0;
  friend bool operator==(const ProducerStamp&, const ProducerStamp&) = default;
};

// Of a RecordBatch: the ProducerStamp.
constexpr uint32_t kProducerField = 1;

// Adding a batch's records to a sequence never overflows.
constexpr int64_t kBaseSequenceMax = int64_t{1} << 62;

// Reads the bytes of a ProducerStamp message as they came from a client.
//   MALFORMED_BATCH      bytes that are no message, a field that stands twice or with another wire type,
//                        producer_id below 1, epoch below 0, base_sequence not from 0 to kBaseSequenceMax
//   UNKNOWN_BATCH_FIELD  metadata field: "1." and its number
absl::StatusOr<ProducerStamp> WalkStamp(std::string_view raw);

// The stamp of a batch that WalkBatch accepted, wherever in it it stands; nothing: it has none, or compaction
// has left it out. DATA_LOSS when the bytes are not a valid batch after all. Skips records without looking
// into them.
absl::StatusOr<std::optional<ProducerStamp>> StampOf(const absl::Cord& batch);

// Appends the field `producer`: what goes before a RecordBatch's other fields.
void AppendStampField(std::string& to, const ProducerStamp& stamp);

}  // namespace naru
