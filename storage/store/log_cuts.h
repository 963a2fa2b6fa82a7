// What moving a log's start and cutting off its end come to, worked out from the index and the segments.
// Everything written before must be in the index. Blocks on disk.
#pragma once

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/index/index.h"
#include "storage/segments/control_bodies.h"
#include "storage/store/log.h"
#include "storage/store/run_reader.h"

namespace naru {

class LogCuts {
 public:
  LogCuts(const Index& index, const RunReader& reader) : index_(index), reader_(reader) {}

  // OFFSET_OUT_OF_RANGE above the readable end; nothing when the start is there already.
  absl::StatusOr<std::optional<LogStartMove>> PlanStart(const Log& log, Offset start) const;
  // Batch bytes, as appended, of what ends at or below `offset`, which is above the start, since the log was
  // made.
  absl::StatusOr<int64_t> BytesBefore(LogId log, Offset offset) const;
  // As LogStore::Truncate; nothing when the log ends there already, or below.
  absl::StatusOr<std::optional<Truncation>> PlanTruncation(const Log& log, Offset end) const;
  // As LogStore::Reset.
  Truncation PlanReset(const Log& log, Offset end, const std::vector<ProducerState>& producers) const;

  // Where the log's start is to be so that it has no batch that was appended before `append_time_ms`, and
  // none but the newest whose bytes together stay within `bytes_max` (-1: any number). Not above `end`.
  absl::StatusOr<Offset> FindRetentionStart(const Log& log, int64_t append_time_ms, int64_t bytes_max,
                                            Offset end) const;
  // The first batch's append time at or after `from`; nothing when there is none.
  absl::StatusOr<std::optional<int64_t>> AppendTimeAt(LogId log, Offset from) const;

 private:
  // The base offset of the batch that holds `offset`.
  absl::StatusOr<Offset> BatchOf(LogId log, Offset offset) const;
  // What LogState needs to look at below a truncation's end.
  absl::Status LookBack(LogId log, Offset start, Offset end, LogState::LookBack& look_back) const;
  absl::StatusOr<Offset> FirstAppendedSince(LogId log, int64_t append_time_ms, Offset start,
                                            Offset end) const;
  // The same where compaction left batches out, whose sums tell nothing any more: counted from the end.
  absl::StatusOr<Offset> FirstWithinLeft(LogId log, int64_t bytes_max, Offset start, Offset end) const;
  absl::StatusOr<Offset> FirstWithin(LogId log, int64_t bytes_before, Offset start, Offset end) const;

  const Index& index_;
  const RunReader& reader_;
};

}  // namespace naru
