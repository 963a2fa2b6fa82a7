#include "storage/segments/segment_set.h"

#include <algorithm>
#include <utility>

#include "storage/base/status.h"

namespace naru {
namespace {

// Of a segment's size, what is left to the index beside it.
constexpr uint64_t kIndexShare = 16;

}  // namespace

std::string SegmentSet::PathOf(SegmentId id) const {
  return absl::StrCat(directory_, "/", SegmentFileName(id));
}

std::shared_ptr<Segment> SegmentSet::Find(SegmentId id) const {
  absl::ReaderMutexLock lock(&mutex_);
  const auto at = segments_.find(id);
  return at == segments_.end() ? nullptr : at->second;
}

std::vector<SegmentId> SegmentSet::Ids() const {
  absl::ReaderMutexLock lock(&mutex_);
  std::vector<SegmentId> ids;
  ids.reserve(segments_.size());
  for (const auto& [id, segment] : segments_) ids.push_back(id);
  return ids;
}

int64_t SegmentSet::TotalBytes() const {
  absl::ReaderMutexLock lock(&mutex_);
  int64_t bytes = 0;
  for (const auto& [id, segment] : segments_) bytes += static_cast<int64_t>(segment->size_bytes());
  return bytes;
}

void SegmentSet::Add(std::shared_ptr<Segment> segment) {
  absl::MutexLock lock(&mutex_);
  const SegmentId id = segment->id();
  segments_[id] = std::move(segment);
}

void SegmentSet::Forget(SegmentId id) {
  absl::MutexLock lock(&mutex_);
  segments_.erase(id);
}

absl::StatusOr<std::shared_ptr<Segment>> SegmentSet::Open(SegmentId id) {
  const std::string path = PathOf(id);
  NARU_ASSIGN_OR_RETURN(auto file, files_.Open(path));
  NARU_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  return std::make_shared<Segment>(id, path, std::move(file), size);
}

absl::StatusOr<std::shared_ptr<Segment>> SegmentSet::Create(SegmentId id, uint64_t size_bytes) {
  const std::string path = PathOf(id);
  // Asked first: an attempt would take all there is for a moment, and a flush of the index that then finds
  // nothing is the end.
  const uint64_t needed = size_bytes + size_bytes / kIndexShare;
  if (const auto space = files_.Space(directory_); space.ok() && space->available_bytes < needed) {
    return absl::ResourceExhaustedError(absl::StrCat(path, ": the disk has ", space->available_bytes,
                                                     " bytes available; a segment takes ", size_bytes, " of ",
                                                     needed));
  }
  NARU_ASSIGN_OR_RETURN(auto file, files_.Open(path));
  absl::Status made = file->Truncate(0);
  if (made.ok()) made = file->Preallocate(size_bytes);
  if (made.ok()) made = file->Sync();
  if (made.ok()) made = files_.SyncDirectory(directory_);
  if (!made.ok()) {
    file.reset();
    (void)files_.Remove(path);
    return made;
  }
  return std::make_shared<Segment>(id, path, std::move(file), size_bytes);
}

absl::Status SegmentSet::Remove(SegmentId id) {
  std::shared_ptr<Segment> segment;
  {
    absl::MutexLock lock(&mutex_);
    const auto at = segments_.find(id);
    if (at == segments_.end()) return absl::OkStatus();
    segment = std::move(at->second);
    segments_.erase(at);
  }
  NARU_RETURN_IF_ERROR(files_.Remove(segment->path()));
  const uint64_t size_bytes = segment->size_bytes();
  absl::MutexLock lock(&mutex_);
  removed_.push_back({std::move(segment), size_bytes});
  return absl::OkStatus();
}

bool SegmentSet::HasRemoved() const {
  absl::ReaderMutexLock lock(&mutex_);
  return !removed_.empty();
}

bool SegmentSet::GiveBackSome(uint64_t bytes) {
  // Nobody can come to hold a segment that nobody holds: it is in no list but this.
  const auto idle = [](const Removed& removed) { return removed.segment.use_count() == 1; };
  Removed next;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = std::find_if(removed_.begin(), removed_.end(), idle);
    if (found == removed_.end()) return false;
    next = std::move(*found);
    removed_.erase(found);
  }
  // The last piece goes when the file is closed, as all of it does where it cannot be cut.
  const bool more = next.left_bytes > bytes && next.segment->file().Truncate(next.left_bytes - bytes).ok();
  next.left_bytes -= std::min(next.left_bytes, bytes);
  if (!more) next.segment.reset();
  absl::MutexLock lock(&mutex_);
  if (more) removed_.push_front(std::move(next));
  return std::any_of(removed_.begin(), removed_.end(), idle);
}

}  // namespace naru
