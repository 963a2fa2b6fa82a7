#include "storage/base/status.h"
#include "storage/base/units.h"
#include "storage/segments/segment.h"
#include "storage/store/entry_writer.h"
#include "storage/store/partition_store.h"

namespace naru {
namespace {

absl::Status Bound(std::string_view name, int64_t value, int64_t low, int64_t high,
                   std::string_view allowed) {
  if (value >= low && value <= high) return absl::OkStatus();
  return InvalidField(name, absl::StrCat(value), allowed);
}

}  // namespace

absl::Status StoreOptions::Validate() const {
  constexpr int64_t kMax = INT64_MAX;
  if (directory.empty()) return InvalidField("directory", "\"\"", "a path is needed");
  NARU_RETURN_IF_ERROR(Bound("segment_bytes", segment_bytes, kSegmentBytesMin, kSegmentBytesMax,
                             "1 MiB to 4 GiB are allowed"));
  NARU_RETURN_IF_ERROR(Bound("tail_cache_bytes", tail_cache_bytes, 0, kMax, "0 and more is allowed"));
  NARU_RETURN_IF_ERROR(
      Bound("queue_bytes_max", queue_bytes_max, 4 * kMiB, kMax, "4 MiB and more is allowed"));
  NARU_RETURN_IF_ERROR(Bound("checkpoint_bytes", checkpoint_bytes, kMiB, kMax, "1 MiB and more is allowed"));
  NARU_RETURN_IF_ERROR(Bound("disk_reserve_bytes", disk_reserve_bytes, 0, kMax, "0 and more is allowed"));
  NARU_RETURN_IF_ERROR(
      Bound("maintenance_interval_ms", maintenance_interval_ms, 10, kMax, "10 and more is allowed"));
  NARU_RETURN_IF_ERROR(
      Bound("background_sync_interval_ms", background_sync_interval_ms, 1, kMax, "1 and more is allowed"));
  NARU_RETURN_IF_ERROR(
      Bound("inline_sync_bytes_max", inline_sync_bytes_max, 0, kMax, "0 and more is allowed"));
  NARU_RETURN_IF_ERROR(
      Bound("kept_page_cache_bytes", kept_page_cache_bytes, 0, kMax, "0 and more is allowed"));
  NARU_RETURN_IF_ERROR(
      Bound("producer_expiry_ms", producer_expiry_ms, 1'000, kMax / 2, "1,000 and more is allowed"));
  NARU_RETURN_IF_ERROR(Bound("reader_threads", reader_threads, 1, 64, "1 to 64 is allowed"));
  NARU_RETURN_IF_ERROR(
      Bound("index_memory_bytes", index_memory_bytes, kMiB, kMax, "1 MiB and more is allowed"));
  NARU_RETURN_IF_ERROR(
      Bound("index_verify_bytes_max", index_verify_bytes_max, 0, kMax, "0 and more is allowed"));
  NARU_RETURN_IF_ERROR(
      Bound("compaction_memory_bytes", compaction_memory_bytes, 1'024, kMax, "1,024 and more is allowed"));
  NARU_RETURN_IF_ERROR(Bound("compaction_bytes_per_second", compaction_bytes_per_second, kMiB, kMax,
                             "1 MiB and more is allowed"));
  NARU_RETURN_IF_ERROR(
      Bound("compaction_dirty_bytes_min", compaction_dirty_bytes_min, 0, kMax, "0 and more is allowed"));
  if (!(compact_below_live_share >= 0 && compact_below_live_share <= 0.9)) {
    return InvalidField("compact_below_live_share", absl::StrCat(compact_below_live_share),
                        "0 to 0.9 is allowed");
  }
  return absl::OkStatus();
}

int64_t StoreOptions::BatchBytesMax() const {
  const uint64_t capacity = static_cast<uint64_t>(segment_bytes) - kSegmentHeaderBytes;
  return static_cast<int64_t>(capacity - SegmentMargin(capacity) - EntryBytesMax(0));
}

}  // namespace naru
