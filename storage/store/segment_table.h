// How much of each segment is in use, and alive. Thread-safe.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "storage/base/ids.h"
#include "storage/index/index.h"

namespace naru {

class SegmentTable {
 public:
  // An entry was laid there.
  void AddEntry(SegmentId id, Sequence sequence, int64_t entry_bytes);
  // Runs of this many bytes began (or, negative, ceased) to be pointed to. Unknown segments are ignored: what
  // is rebuilt from what is left may speak of segments that went.
  void AddLive(SegmentId id, int64_t bytes);
  // As the index says.
  void Load(const SegmentRow& row);
  void Remove(SegmentId id);
  void Clear();

  std::vector<SegmentRow> Rows() const;
  std::optional<SegmentRow> Find(SegmentId id) const;
  int64_t LiveBytes() const;
  // Puts what changed since the last call.
  void PutChanged(IndexUpdate& update);

 private:
  mutable absl::Mutex mutex_;
  std::map<SegmentId, SegmentRow> rows_ ABSL_GUARDED_BY(mutex_);
  std::set<SegmentId> changed_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace naru
