// Records or stored batches on their way into one message: what a read brought, cut to the client's range and
// bounds. Thread-unsafe.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "naru/v1/types.pb.h"
#include "storage/base/ids.h"
#include "storage/log/log_store.h"

namespace naru::services {

struct DeliveryBounds {
  Offset end = Offset(INT64_MAX);  // records below it only
  int64_t bytes_max = 0;    // of what is delivered; one record, or stored batch, comes whatever its size
  int64_t records_max = 0;  // 0: no limit; not used for stored batches
};

class Delivery {
 public:
  // Numbers of the fields in FetchResponse and PartitionDelivery.
  static constexpr uint32_t kBatchesField = 14;
  static constexpr uint32_t kRecordsField = 15;
  // Upper bound of the fields around them: names, ids, offsets.
  static constexpr int64_t kFrameBytesMax = 512;

  // Delivers from `from` on.
  Delivery(naru::v1::Delivery form, Offset from, const DeliveryBounds& bounds);

  // Adds what `result` holds, up to the bounds. CORRUPT_DATA when a batch cannot be read; what was added
  // before it stays.
  absl::Status Add(const ReadResult& result);

  // The position to go on from.
  Offset next_offset() const { return next_; }
  Offset log_start() const { return log_start_; }
  Offset high_watermark() const { return high_watermark_; }
  // Nothing more may be added: a bound or the end of the range is reached.
  bool full() const { return limit_reached_ || range_ended(); }
  bool range_ended() const { return next_ >= bounds_.end; }
  bool empty() const { return size_bytes() == 0; }
  // Of the encoded fields.
  int64_t size_bytes() const { return static_cast<int64_t>(records_.size() + batches_.size()); }
  // Bytes that may still be added.
  int64_t bytes_left() const { return bounds_.bytes_max - size_bytes(); }
  int64_t record_count() const { return record_count_; }

  // The encoded fields: of the two, the form's own. Empty afterwards.
  std::string TakeRecords() { return std::move(records_); }
  absl::Cord TakeBatches() { return std::move(batches_); }
  // Lets go of what was added; goes on from where it was.
  void Drop() {
    records_ = std::string();
    batches_.Clear();
    record_count_ = 0;
  }
  bool stored_batches() const { return form_ == naru::v1::DELIVERY_STORED_BATCHES; }

 private:
  absl::Status AddRecords(const StoredBatchView& batch);
  void AddStored(const StoredBatchView& batch);

  const naru::v1::Delivery form_;
  const DeliveryBounds bounds_;
  Offset next_;
  Offset log_start_;
  Offset high_watermark_;
  bool limit_reached_ = false;
  int64_t record_count_ = 0;
  std::string records_;
  absl::Cord batches_;
};

}  // namespace naru::services
