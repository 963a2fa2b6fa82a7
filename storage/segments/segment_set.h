// The segment files of one store: which there are, open. Thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "storage/base/files.h"
#include "storage/base/ids.h"
#include "storage/segments/segment.h"

namespace naru {

class SegmentSet {
 public:
  // `directory` exists; `files` outlives the set.
  SegmentSet(FileSystem& files, std::string directory) : files_(files), directory_(std::move(directory)) {}

  std::string PathOf(SegmentId id) const;
  // nullptr: not there (any more).
  std::shared_ptr<Segment> Find(SegmentId id) const;
  std::vector<SegmentId> Ids() const;
  // Of the files, preallocated space included.
  int64_t TotalBytes() const;

  void Add(std::shared_ptr<Segment> segment);
  // Opens the file of a segment that exists; does not add it.
  absl::StatusOr<std::shared_ptr<Segment>> Open(SegmentId id);
  // Makes a file of `size_bytes` zeros with real blocks under it, durable together with its name; does not
  // add it. RESOURCE_EXHAUSTED when the disk has not a little more than that available, which the index may
  // need (nothing is left behind then).
  absl::StatusOr<std::shared_ptr<Segment>> Create(SegmentId id, uint64_t size_bytes);
  void Forget(SegmentId id);
  // Forgets the segment and removes its file. Whoever still holds it reads on. Its blocks come back in pieces
  // (GiveBackSome): a disk that is told of hundreds of MiB at once answers no sync meanwhile.
  absl::Status Remove(SegmentId id);
  // Gives back so much of a removed segment that nobody holds; to be called when the removal is durable.
  // False: there is no more for the moment. One caller at a time.
  bool GiveBackSome(uint64_t bytes);
  // Something of removed segments is still to be given back.
  bool HasRemoved() const;

 private:
  struct Removed {
    std::shared_ptr<Segment> segment;
    uint64_t left_bytes = 0;
  };

  FileSystem& files_;
  const std::string directory_;
  mutable absl::Mutex mutex_;
  std::map<SegmentId, std::shared_ptr<Segment>> segments_ ABSL_GUARDED_BY(mutex_);
  std::deque<Removed> removed_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace naru
