// One log in memory: its batches and their fold. Not thread-safe; copies share the batches' bytes.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/base/ids.h"
#include "storage/batch/splice.h"
#include "storage/log/log_state.h"
#include "storage/log/log_store.h"

namespace naru {

class MemoryLog {
 public:
  const LogState& state() const { return state_; }
  // Of the batches in [start, end), whole where the start cuts one.
  int64_t size_bytes() const { return size_bytes_; }

  // As the same methods of LogState, whose checks come first.
  void Append(StoredBatchView batch, int64_t forget_producers_before_ms = INT64_MIN);
  void MoveStart(Offset start);
  void BeginEpoch(LeaderEpoch epoch) { state_.BeginEpoch(epoch); }
  // As LogStore::Truncate, LogStore::Reset.
  void Truncate(Offset end);
  void Reset(Offset start, const std::vector<ProducerState>& producers);

  // From the batch that holds `from` (within the log) on, those that begin below `end` and end at or below
  // `limit`, as LogStore::Read gives them. DATA_LOSS/CORRUPT_DATA when one fails its checksum.
  absl::Status Read(const ReadRequest& request, Offset limit, ReadResult& result) const;
  // The first record at or after the time among [start, limit).
  absl::StatusOr<std::optional<TimedOffset>> FindByTime(int64_t timestamp_ms, Offset limit) const;
  // Where retention would have the log start at `now_ms`; at most `limit`.
  Offset RetentionStart(const LogSettings& settings, int64_t now_ms, Offset limit) const;

  // What compaction leaves of the batch that begins at `base_offset`: these bytes, with as many records as
  // `offset_deltas`. False: there is no such batch.
  bool Thin(Offset base_offset, std::vector<uint32_t> offset_deltas, absl::Cord bytes);
  // Flips a bit of the batch that holds `offset`. False: there is none.
  bool Damage(Offset offset);

 private:
  using Batches = std::deque<StoredBatchView>;
  // The first batch that ends above `offset`.
  Batches::const_iterator FirstAbove(Offset offset) const;

  LogState state_;
  Batches batches_;
  int64_t size_bytes_ = 0;
};

// The greatest timestamp that readers see in a batch.
int64_t MaxTimestampMs(const BatchInfo& info, bool append_time_stamped, int64_t append_time_ms);

}  // namespace naru
