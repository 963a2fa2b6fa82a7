#include "services/consume/delivery.h"

#include <algorithm>
#include <utility>

#include "storage/base/status.h"
#include "storage/batch/splice.h"

namespace naru::services {
namespace {

// About what WrapStored puts around a batch.
constexpr int64_t kWrapBytesMax = 64;
// Of a record's offset where compaction left some, at most.
constexpr int64_t kDeltaBytesMax = 5;
// What the broker adds to a record, about.
constexpr int64_t kRecordFrameBytes = 16;

}  // namespace

Delivery::Delivery(naru::v1::Delivery form, Offset from, const DeliveryBounds& bounds)
    : form_(form), bounds_(bounds), next_(from) {}

absl::Status Delivery::Add(const ReadResult& result) {
  log_start_ = result.log_start;
  high_watermark_ = result.readable_end;
  for (const StoredBatchView& batch : result.batches) {
    if (full()) break;
    if (stored_batches()) {
      AddStored(batch);
    } else {
      NARU_RETURN_IF_ERROR(AddRecords(batch));
    }
  }
  // Past what is empty behind the last batch, too: or it would be read again and again.
  if (!limit_reached_) next_ = std::max(next_, std::min(result.next_offset, bounds_.end));
  return absl::OkStatus();
}

absl::Status Delivery::AddRecords(const StoredBatchView& batch) {
  const int64_t expected = static_cast<int64_t>(batch.bytes.size()) + kRecordFrameBytes * batch.record_count;
  const auto wanted = static_cast<size_t>(size_bytes() + std::clamp<int64_t>(expected, 0, bytes_left()));
  // Growing by doubling, so that many small batches do not each copy what is there.
  if (wanted > records_.capacity()) records_.reserve(std::max(wanted, 2 * records_.capacity()));

  SpliceLimits limits{.from = next_, .end = bounds_.end, .bytes_max = bounds_.bytes_max};
  if (bounds_.records_max > 0) {
    limits.records_max = bounds_.records_max - record_count_;
    if (limits.records_max == 0) {
      limit_reached_ = true;
      return absl::OkStatus();
    }
  }
  Spliced spliced;
  const absl::Status status = SpliceRecords(batch, kRecordsField, limits, records_, spliced);
  record_count_ += spliced.records;
  next_ = std::max(next_, spliced.next_offset);
  limit_reached_ = spliced.limit_reached || (bounds_.records_max > 0 && record_count_ >= bounds_.records_max);
  return status;
}

void Delivery::AddStored(const StoredBatchView& batch) {
  if (batch.next_offset <= next_) return;
  const int64_t size = static_cast<int64_t>(batch.bytes.size()) + kWrapBytesMax +
                       kDeltaBytesMax * static_cast<int64_t>(batch.offset_deltas.size());
  if (!batches_.empty() && size > bytes_left()) {
    limit_reached_ = true;
    return;
  }
  WrapStored(batch, kBatchesField, batches_);
  record_count_ += batch.record_count;
  next_ = std::min(batch.next_offset, bounds_.end);
}

}  // namespace naru::services
