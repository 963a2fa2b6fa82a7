#include "tools/cli/reset_spec.h"

#include <cstdint>
#include <limits>
#include <string>

#include "storage/base/status.h"
#include "tools/cli/offset_spec.h"
#include "tools/cli/quantity.h"

namespace naru::cli {

absl::Status ParseResetTarget(std::string_view text, absl::Time now, naru::v1::ResetOffsetsRequest& request) {
  if (text.starts_with('+') || text.starts_with('-')) {
    if (const auto count = ParseInteger(text.substr(1), 0, std::numeric_limits<int64_t>::max())) {
      request.set_shift(text.starts_with('-') ? -*count : *count);
      return absl::OkStatus();
    }
  }
  const auto spec = ParseOffsetSpec(text, now);
  if (!spec.ok()) return InvalidField("to", text, kResetTargetForms);
  switch (spec->kind) {
    case OffsetSpec::Kind::kEarliest:
      request.set_position(naru::v1::POSITION_EARLIEST);
      break;
    case OffsetSpec::Kind::kLatest:
      request.set_position(naru::v1::POSITION_LATEST);
      break;
    case OffsetSpec::Kind::kOffset:
      request.set_offset(spec->offset);
      break;
    case OffsetSpec::Kind::kTime:
      request.set_timestamp_ms(spec->timestamp_ms);
      break;
  }
  return absl::OkStatus();
}

absl::StatusOr<naru::v1::TopicPartitions> ParseTopicPartitions(std::string_view text) {
  constexpr std::string_view kAllowed = "a topic such as orders, or with partitions orders:0,3, is";
  naru::v1::TopicPartitions parsed;
  const size_t colon = text.find(':');
  parsed.set_topic(std::string(text.substr(0, colon)));
  if (parsed.topic().empty()) return InvalidField("topic", text, kAllowed);
  if (colon == std::string_view::npos) return parsed;
  std::string_view rest = text.substr(colon + 1);
  while (true) {
    const size_t comma = rest.find(',');
    const auto partition = ParseInteger(rest.substr(0, comma), 0, INT32_MAX);
    if (!partition) return InvalidField("topic", text, kAllowed);
    parsed.add_partitions(static_cast<int32_t>(*partition));
    if (comma == std::string_view::npos) return parsed;
    rest.remove_prefix(comma + 1);
  }
}

}  // namespace naru::cli
