// Gives entries their sequence, lays them in the segments and applies them: what all writing of the appender
// goes through. The appender's thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "storage/segments/segment_writer.h"
#include "storage/store/counters.h"
#include "storage/store/fatal.h"
#include "storage/store/fold.h"
#include "storage/store/group.h"
#include "storage/store/syncer.h"
#include "storage/store/tail_cache.h"

namespace naru {

// Of a segment with room for `capacity` bytes of entries.
uint64_t SegmentMargin(uint64_t capacity);

class EntryWriter {
 public:
  struct Parts {
    SegmentWriter& segments;
    Fold& fold;
    Syncer& syncer;
    TailCache& cache;
    StoreCounters& counters;
    Fatal& fatal;
  };
  EntryWriter(Parts parts, Sequence last) : parts_(parts), last_(last) {}

  uint64_t capacity() const { return parts_.segments.capacity(); }
  // Of the last entry written.
  Sequence last_sequence() const { return last_; }

  // What batches leave free in the last segment that the disk has room for, however large they are: giving
  // space back takes entries, too, and must work when nothing else does. Smaller ones leave some times that.
  uint64_t margin() const { return SegmentMargin(capacity()); }
  uint64_t spared() const { return 4 * margin(); }
  // Entry bytes of batches that go together, at most.
  uint64_t batches_max() const { return capacity() - margin(); }

  // Room for entries of `bytes` together, beside `spared` bytes when the disk has room for no further
  // segment. STORAGE_FULL when there is none; BATCH_TOO_LARGE when no segment has it.
  absl::Status EnsureRoom(uint64_t bytes, uint64_t spared = 0);
  // What is written next may be what only the newest format has. STORAGE_FULL when that takes a segment for
  // which there is no room.
  absl::Status EnsureNewestFormat();
  // The same for batches, of which BATCH_TOO_LARGE says that no segment has it beside the margin.
  absl::Status EnsureRoomForBatches(uint64_t bytes, uint64_t spared);

  // Stages a batch of `log` at its end and applies it. Everything in `header` but checksums of the header,
  // sequences and what a run's start holds is filled in. It continues the run begun for the log in this group
  // where it can; `end` counts the runs.
  void AddBatch(const std::shared_ptr<Log>& log, EntryHeader& header, const absl::Cord& body, Group& group,
                Group::LogEnd& end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(log->mutex);
  // The log's batches of this group are complete.
  void CloseRun(Log& log, Group& group, Group::LogEnd& end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(log.mutex);

  // Stages and applies another entry, whose body must live until Write. Room was ensured.
  void AddControl(EntryType type, uint8_t flags, const absl::Cord& body, Group& group);

  // Writes what was staged and completes `group` for the syncer. False: durability is lost.
  bool Write(Group& group);

 private:
  absl::Status FromSegments(const absl::Status& room);

  Parts parts_;
  Sequence last_;
};

// Bytes of an entry with this body, at most.
inline uint64_t EntryBytesMax(uint64_t body_bytes) { return kHeaderBytesMax + body_bytes + kEntryAlignment; }

}  // namespace naru
