// From a directory to a store's state: opens the segments and the index, replays what the index lacks, cuts
// off a torn tail and refuses a hole. Before there are any threads.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/base/clock.h"
#include "storage/base/event_log.h"
#include "storage/base/files.h"
#include "storage/segments/segment_scanner.h"
#include "storage/segments/segment_set.h"
#include "storage/store/counters.h"
#include "storage/store/fatal.h"
#include "storage/store/fold.h"
#include "storage/store/partition_store.h"
#include "storage/store/rebuild.h"

namespace naru {

// Names in a data directory.
std::string SegmentsDirectory(const std::string& store);
std::string IndexDirectory(const std::string& store);
std::string AsideDirectory(const std::string& store);

class Recovery {
 public:
  struct Parts {
    const StoreOptions& options;
    FileSystem& files;
    const Clock& clock;
    EventLog& events;
    Fatal& fatal;
    SegmentSet& segments;
    SegmentTable& segment_table;
    LogTable& logs;
    StoreCounters& counters;
  };
  explicit Recovery(Parts parts) : parts_(parts) {}

  // Results below are valid after OK. Errors as PartitionStore::Open's.
  absl::Status Run();

  std::unique_ptr<Index> index;
  std::unique_ptr<Fold> fold;
  uint32_t salt = 0;
  Sequence last_sequence;
  // Where to go on.
  std::shared_ptr<Segment> tail;
  uint64_t tail_position = 0;
  uint32_t tail_version = 0;

 private:
  struct SegmentFile {
    std::shared_ptr<Segment> segment;
    std::optional<SegmentHeader> header;
    // Why there is none, if the block is not zeros.
    absl::Status damage;
  };
  using Files = std::vector<SegmentFile>;

  absl::Status ListSegments();
  absl::StatusOr<SegmentFile> OpenSegment(SegmentId id);
  absl::Status CheckSalts();
  absl::Status MakeFirstSegment();
  // What the index and the segments behind it say; DATA_LOSS with index->damaged(): the segments alone may
  // say it as well.
  absl::Status RecoverState();
  absl::Status OpenIndex();
  absl::Status CheckRoomForIndex() const;
  absl::Status SetIndexAside(const absl::Status& problem);
  // Where to put something called `name` in `aside/`: a path at which nothing is.
  std::string AsidePath(const std::string& name) const;
  absl::Status LoadIndex();
  absl::Status LoadRows();
  absl::Status CheckSegmentsOfIndex(const AppliedPosition& applied);

  // Segments that were struck off, and a crash came before their files were removed.
  absl::Status RemoveLeftovers();
  // So that a start that is not lived through for long does not leave the same, and more, to the next.
  absl::Status FlushLongReplay();

  absl::Status Replay();
  absl::Status ReplaySegment(size_t i, uint64_t position);
  absl::Status ApplyEntry(const SegmentScanner& scanner, const Segment& segment);
  absl::Status CommitUpdate();
  bool GapBefore(size_t i) const;
  // The entries end at `position` of files_[i], for good: proves that nothing durable is missing, or says
  // what is.
  absl::Status EndAt(size_t i, uint64_t position, const std::string& problem);
  absl::Status CutTail(size_t i, uint64_t position);
  absl::Status SetAside(const SegmentFile& file);
  absl::Status Hole(const std::string& path, uint64_t position, const std::string& problem) const;

  Parts parts_;
  Files files_;
  AppliedPosition applied_;
  IndexUpdate update_;
  std::unique_ptr<RunReader> reader_;
  // Behind the last good entry of the segment replayed last.
  uint64_t end_position_ = kSegmentHeaderBytes;
  // Once what is replayed has had a gap: segments that were removed before the index was lost.
  std::unique_ptr<Rebuild> rebuild_;
  bool in_gap_ = false;  // and no snapshot behind it yet
  bool rebuilding_ = false;
  // Where the replay came to rest: nothing more follows.
  bool ended_ = false;
};

}  // namespace naru
