// Batches of runs, read from segments and checked. Thread-safe; blocks on disk.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/batch/splice.h"
#include "storage/log/log_store.h"
#include "storage/segments/run.h"
#include "storage/segments/segment_set.h"

namespace naru {

// What the entry of a batch says of it, with the batch's own bytes as handed in. Offset deltas are not filled
// in.
StoredBatchView ViewOfEntry(const EntryHeader& header, absl::Cord bytes);
// The same with the offset deltas that the entry's body begins with, `bytes` being what follows them. False:
// they are malformed.
bool ViewOfBody(const EntryHeader& header, std::string_view body, absl::Cord bytes, StoredBatchView& view);

class RunReader {
 public:
  RunReader(const SegmentSet& segments, uint32_t salt) : segments_(segments), salt_(salt) {}

  // All of them: NOT_FOUND when the run's segment went meanwhile (look the run up again); CORRUPT_DATA, with
  // file and position, when what is there is not what the run says.

  // The headers of the run's batches in order, with their positions in the segment, until `visit` says false.
  absl::Status VisitHeaders(LogId log, const Run& run,
                            absl::FunctionRef<bool(const EntryHeader&, uint64_t position)> visit) const;

  // Everything of it, unchecked.
  absl::StatusOr<std::string> ReadBytes(const Run& run) const;

  // The run without the batches that reach above `end`; nothing when none is left.
  absl::StatusOr<std::optional<Run>> Cut(LogId log, const Run& run, Offset end) const;

  // Adds batches to `result`, which has none yet, as LogStore::Read does, and moves its next_offset. The one
  // that holds `request.from` is in the first of `runs`, which follow each other; fewer than all may be read.
  absl::Status Read(const std::vector<Run>& runs, const ReadRequest& request, ReadResult& result) const;

 private:
  struct Stretch {
    std::shared_ptr<Segment> segment;
    uint64_t position = 0;
    uint64_t length = 0;
  };
  absl::StatusOr<std::shared_ptr<Segment>> SegmentOf(const Run& run) const;
  absl::StatusOr<uint64_t> PositionOf(LogId log, const Run& run, Offset offset) const;
  // How a read goes on.
  struct Progress {
    Offset expected;  // the next batch holds it
    int64_t bytes_left = 0;
    bool done = false;
    // The last batch was empty, and is not in the result.
    std::optional<EntryHeader> emptied;
  };
  absl::Status ReadStretch(const ReadRequest& request, const Stretch& stretch, Progress& progress,
                           ReadResult& result) const;
  static void AddEmptied(const ReadRequest& request, Progress& progress, ReadResult& result);
  // Adds the batch with `header`, whose body is at the front of `rest`, a part of `buffer`.
  absl::Status AddBatch(const ReadRequest& request, const EntryHeader& header, std::string_view rest,
                        const std::shared_ptr<const char[]>& buffer, Progress& progress,
                        ReadResult& result) const;

  const SegmentSet& segments_;
  const uint32_t salt_;
};

}  // namespace naru
