// From a stored batch to what a consumer gets, without decoding records. Pure, thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "storage/base/ids.h"
#include "storage/batch/batch.h"
#include "storage/batch/producer_stamp.h"

namespace naru {

// A batch with the broker's facts about it, as read from a log. Without records and bytes it stands for
// offsets whose records are gone; only readers that ask for them are given such.
struct StoredBatchView {
  Offset base_offset;
  Offset next_offset;
  LeaderEpoch leader_epoch;
  int64_t append_time_ms = 0;
  // The greatest record timestamp, append time filled in.
  int64_t max_timestamp_ms = 0;
  uint32_t crc32c = 0;
  uint32_t record_count = 0;
  // What compaction left: each record's offset less base_offset, rising, as many as records. Empty: the i-th
  // record has base_offset + i, and there are as many as offsets.
  std::vector<uint32_t> offset_deltas;
  // The topic delivers append times (TIMESTAMP_TYPE_APPEND_TIME when it was appended).
  bool append_time_stamped = false;
  // Of an idempotent producer's batch. Its sequences are as many as offsets, also where compaction has left
  // records out, and the stamp with them that stands in the bytes.
  std::optional<ProducerStamp> producer;
  // The RecordBatch's raw bytes.
  absl::Cord bytes;

  // Of the i-th record; i < record_count.
  Offset offset_of(uint32_t i) const {
    return base_offset + (offset_deltas.empty() ? i : int64_t{offset_deltas[i]});
  }
};

struct SpliceLimits {
  Offset from;              // first record wanted
  Offset end;               // records below this only
  int64_t bytes_max = 0;    // of output; at least one record goes out if none has yet (see `out` below)
  int64_t records_max = 0;  // 0: no limit
};

struct Spliced {
  // Where to go on: after the last record spliced, or, when the batch is used up, past it (at most at `end`).
  Offset next_offset;
  int64_t records = 0;
  bool limit_reached = false;
};

// Appends the batch's records in [from, end) to `out` as repeated field `field` of the answer: each is the
// stored record's bytes with offset, and timestamp_ms where the broker gives it, added behind (the last one
// wins in every protobuf parser). Cuts at a record when `out` would pass bytes_max, but a first record goes
// into an empty `out` whatever its size. DATA_LOSS/CORRUPT_DATA when the bytes are no valid batch.
absl::Status SpliceRecords(const StoredBatchView& batch, uint32_t field, const SpliceLimits& limits,
                           std::string& out, Spliced& result);

// Appends the batch as a StoredBatch message in repeated field `field` to `out`, the bytes shared, not
// copied.
void WrapStored(const StoredBatchView& batch, uint32_t field, absl::Cord& out);

// The offset and timestamp of the first record at or after `timestamp_ms`, from offset `from` on. nullopt:
// none.
struct TimedOffset {
  Offset offset;
  int64_t timestamp_ms = 0;
};
absl::StatusOr<std::optional<TimedOffset>> FindTimestamp(const StoredBatchView& batch, int64_t timestamp_ms,
                                                         Offset from);

}  // namespace naru
