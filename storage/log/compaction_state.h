// How far one log is compacted by key, and since when its tombstones may be counted on to have been seen.
// Pure; not thread-safe; copyable. Part of the fold: a pass of compaction works it out, an entry carries it,
// and applying the entry sets it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/base/ids.h"

namespace naru {

struct CompactionState {
  // Everything below `below` was clean at `at_ms` at the latest, so that tombstones there may go
  // delete_retention_ms later.
  struct Horizon {
    Offset below;
    int64_t at_ms = 0;
    friend bool operator==(const Horizon&, const Horizon&) = default;
  };
  static constexpr size_t kHorizonsMax = 16;

  // No record below is superseded by another one below.
  Offset clean_to;
  // Batch bytes before it, as appended, since the log was made.
  int64_t clean_bytes = 0;
  // When the last pass ended; 0: there was none.
  int64_t last_pass_ms = 0;
  // Left below clean_to by the last pass.
  int64_t tombstones = 0;
  // Rising in both.
  std::vector<Horizon> horizons;

  bool ever() const { return last_pass_ms > 0; }
  // Tombstones below this may go.
  Offset TombstonesDueBelow(int64_t now_ms, int64_t delete_retention_ms) const;
  // A pass is through: everything below `to` is clean, and of the tombstones that were due none is left. The
  // times of horizons are rounded up to an eighth of the retention time, so that few of them tell apart
  // however many passes, and none is later than that.
  void EndPass(Offset to, int64_t bytes, int64_t tombstones_left, int64_t now_ms, int64_t delete_retention_ms,
               Offset due_below);
  // The log ends at `end` now, before which it has `bytes_end`.
  void Truncate(Offset end, int64_t bytes_end);

  std::string Encode() const;
  // DATA_LOSS for bytes that Encode did not write.
  static absl::StatusOr<CompactionState> Decode(std::string_view bytes);
  friend bool operator==(const CompactionState&, const CompactionState&) = default;
};

}  // namespace naru
