// A run: batches of one log that were appended together and lie side by side in one segment. What the index
// holds one key for. Pure, thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "storage/base/coding.h"
#include "storage/base/ids.h"
#include "storage/segments/entry.h"

namespace naru {

struct Run {
  Offset base;
  Offset next;
  // Its entries: [position, position + length) of the segment.
  SegmentId segment;
  uint64_t position = 0;
  uint32_t length = 0;
  uint32_t batch_count = 0;
  // Of batch bytes, as appended: in the run, and in the log before it since the log was made.
  int64_t bytes = 0;
  int64_t bytes_before = 0;
  // Of `bytes`, what compaction left out.
  int64_t bytes_gone = 0;
  // Of the run, and of the log up to and with the run (so it never falls from run to run).
  int64_t max_timestamp_ms = 0;
  int64_t max_timestamp_so_far_ms = 0;
  // Of its last batch.
  int64_t append_time_ms = 0;
  // Of its first batch.
  LeaderEpoch first_epoch;

  int64_t bytes_end() const { return bytes_before + bytes; }
  friend bool operator==(const Run&, const Run&) = default;
};

// The run that consists of the batch `header` alone, which must have kRunStart.
Run RunOfEntry(const EntryHeader& header, SegmentId segment, uint64_t position);
// Adds the batch that lies behind the run and continues it.
void ExtendRun(Run& run, const EntryHeader& header);

// Everything but `base`, which is in the key, and `bytes_gone`. Fixed length.
void EncodeRun(const Run& run, std::string& to);
Run DecodeRun(LittleReader& from, Offset base);
// The same, and `bytes_gone`.
void EncodeRewrittenRun(const Run& run, std::string& to);
Run DecodeRewrittenRun(LittleReader& from, Offset base);

}  // namespace naru
