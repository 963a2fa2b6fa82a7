#include "clients/cpp/producer_options.h"

#include "absl/strings/str_cat.h"
#include "storage/base/status.h"

namespace naru::client {
namespace {

constexpr int kIdempotentInFlightMax = 5;

absl::Status CheckRange(std::string_view name, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return InvalidField(name, absl::StrCat(value), absl::StrCat(low, " to ", high, " is allowed"));
}

absl::Status CheckPositive(std::string_view name, absl::Duration value) {
  if (value > absl::ZeroDuration()) return absl::OkStatus();
  return InvalidField(name, absl::FormatDuration(value), "more than 0 is allowed");
}

}  // namespace

absl::Status ValidateProducerOptions(const ProducerOptions& options) {
  NARU_RETURN_IF_ERROR(CheckRange("batch_bytes", options.batch_bytes, 1, 2'000'000));
  NARU_RETURN_IF_ERROR(CheckRange("record_bytes_max", options.record_bytes_max, 1, 64 << 20));
  NARU_RETURN_IF_ERROR(CheckRange("in_flight_batches_max", options.in_flight_batches_max, 1, 1'000));
  if (options.idempotent && options.in_flight_batches_max > kIdempotentInFlightMax) {
    return InvalidField("in_flight_batches_max", absl::StrCat(options.in_flight_batches_max),
                        absl::StrCat("1 to ", kIdempotentInFlightMax,
                                     " is allowed with idempotent, as many as brokers remember"));
  }
  NARU_RETURN_IF_ERROR(CheckPositive("delivery_timeout", options.delivery_timeout));
  NARU_RETURN_IF_ERROR(CheckPositive("request_timeout", options.request_timeout));
  if (options.linger < absl::ZeroDuration() || options.linger > absl::Minutes(1)) {
    return InvalidField("linger", absl::FormatDuration(options.linger), "0 to 60 s is allowed");
  }
  if (options.buffer_bytes_max < options.batch_bytes) {
    return InvalidField("buffer_bytes_max", absl::StrCat(options.buffer_bytes_max),
                        absl::StrCat("at least batch_bytes (", options.batch_bytes, ") is allowed"));
  }
  if (options.block_timeout < absl::ZeroDuration()) {
    return InvalidField("block_timeout", absl::FormatDuration(options.block_timeout), "0 or more is allowed");
  }
  if (options.rotation_start && options.rotation_start->value() < 0) {
    return InvalidField("rotation_start", absl::StrCat(options.rotation_start->value()),
                        "0 or more is allowed");
  }
  return ValidateBackoff(options.backoff);
}

}  // namespace naru::client
