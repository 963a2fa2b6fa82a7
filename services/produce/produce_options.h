// Limits of the produce service. Validated once at start-up.
#pragma once

#include <cstdint>

#include "absl/status/status.h"

namespace naru::services {

struct ProduceOptions {
  // Of one RecordBatch, as sent and again decompressed, bytes. 1 KiB to 64 MiB.
  int64_t batch_bytes_max = int64_t{2} << 20;
  // Records of one batch. At least 1.
  int64_t batch_records_max = 100'000;
  // Bytes of requests that wait for the store, of all calls and streams together: unary calls above it are
  // refused with TOO_MANY_IN_FLIGHT, streams wait. Less than the store's own queue, or that refuses first. At
  // least batch_bytes_max.
  int64_t memory_bytes = int64_t{64} << 20;
  // Bytes that all streams together may be reading, and have read and wait with: above it streams wait with
  // reading. At least 1.
  int64_t reading_bytes_max = int64_t{16} << 20;
  // While streams wait with reading, how long another may keep its turn though nothing comes; less where that
  // is so of most. At least 1.
  int64_t idle_read_ms = 20;
  // Bytes of items that streams have read and wait with, of all streams together; above it items are refused
  // with TOO_MANY_IN_FLIGHT. More than reading_bytes_max is needed only when streams that had lost their turn
  // all go on at once, or send much larger items than before. 0 and more.
  int64_t waiting_bytes_max = int64_t{32} << 20;
  // A stream is not read while it has more than this unanswered. Both at least 1.
  int64_t stream_inflight_bytes_max = int64_t{8} << 20;
  int64_t stream_inflight_items_max = 4'096;
  // Of one message of answers, about. 1 KiB to 1 MiB.
  int64_t stream_answer_bytes_max = int64_t{64} << 10;
  // Partitions of one stream that failed and were not resumed; above it the stream ends. At least 1.
  int64_t stream_failed_partitions_max = 10'000;

  // INVALID_FIELD, naming the option.
  absl::Status Validate() const;
};

}  // namespace naru::services
