#include "services/consume/consume_options.h"

#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"
#include "storage/base/units.h"
#include "storage/batch/batch.h"

namespace naru::services {
namespace {

absl::Status CheckRange(std::string_view option, int64_t value, int64_t min, int64_t max) {
  if (value >= min && value <= max) return absl::OkStatus();
  const std::string upper = max == INT64_MAX ? std::string(" or more") : absl::StrCat(" to ", max);
  return InvalidField(option, absl::StrCat(value), absl::StrCat("it is ", min, upper));
}

}  // namespace

absl::Status ConsumeOptions::Validate() const {
  NARU_RETURN_IF_ERROR(
      CheckRange("consume.message_bytes_max", message_bytes_max, 64 * kKiB, kBatchBytesCeiling));
  NARU_RETURN_IF_ERROR(CheckRange("consume.batch_bytes_max", batch_bytes_max, kKiB, kBatchBytesCeiling));
  NARU_RETURN_IF_ERROR(CheckRange("consume.memory_bytes", memory_bytes, 2 * message_bytes_max, INT64_MAX));
  NARU_RETURN_IF_ERROR(CheckRange("consume.stalled_after_ms", stalled_after_ms, 100, INT32_MAX));
  NARU_RETURN_IF_ERROR(
      CheckRange("consume.stream_first_message_bytes", stream_first_message_bytes, kKiB, message_bytes_max));
  NARU_RETURN_IF_ERROR(CheckRange("consume.wait_ms_max", wait_ms_max, 0, INT32_MAX));
  return CheckRange("consume.subscription_partitions_max", subscription_partitions_max, 1, INT32_MAX);
}

}  // namespace naru::services
