#include "services/produce/produce_options.h"

#include <string_view>

#include "absl/strings/str_cat.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"
#include "storage/batch/batch.h"

namespace naru::services {
namespace {

absl::Status CheckRange(std::string_view option, int64_t value, int64_t min, int64_t max) {
  if (value >= min && value <= max) return absl::OkStatus();
  const std::string upper = max == INT64_MAX ? std::string(" or more") : absl::StrCat(" to ", max);
  return InvalidField(option, absl::StrCat(value), absl::StrCat("it is ", min, upper));
}

}  // namespace

absl::Status ProduceOptions::Validate() const {
  NARU_RETURN_IF_ERROR(CheckRange("produce.batch_bytes_max", batch_bytes_max, 1024, kBatchBytesCeiling));
  NARU_RETURN_IF_ERROR(CheckRange("produce.batch_records_max", batch_records_max, 1, INT32_MAX));
  NARU_RETURN_IF_ERROR(CheckRange("produce.memory_bytes", memory_bytes, batch_bytes_max, INT64_MAX));
  NARU_RETURN_IF_ERROR(CheckRange("produce.reading_bytes_max", reading_bytes_max, 1, INT64_MAX));
  NARU_RETURN_IF_ERROR(CheckRange("produce.idle_read_ms", idle_read_ms, 1, INT32_MAX));
  NARU_RETURN_IF_ERROR(CheckRange("produce.waiting_bytes_max", waiting_bytes_max, 0, INT64_MAX));
  NARU_RETURN_IF_ERROR(
      CheckRange("produce.stream_inflight_bytes_max", stream_inflight_bytes_max, 1, INT64_MAX));
  NARU_RETURN_IF_ERROR(
      CheckRange("produce.stream_inflight_items_max", stream_inflight_items_max, 1, INT64_MAX));
  NARU_RETURN_IF_ERROR(CheckRange("produce.stream_answer_bytes_max", stream_answer_bytes_max, 1024, 1 << 20));
  return CheckRange("produce.stream_failed_partitions_max", stream_failed_partitions_max, 1, INT64_MAX);
}

}  // namespace naru::services
