// What `naru group reset` moves and where to, as people write it. Pure, thread-safe.
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "naru/v1/group.pb.h"

namespace naru::cli {

// What ParseResetTarget takes, for help and errors.
inline constexpr std::string_view kResetTargetForms =
    "earliest, latest (or end), an offset, so many records forward or backward (+100, -100), a time "
    "(2024-01-01, 2024-01-01T12:00:00Z), a time ago (-1h) or milliseconds since the epoch (@1704067200000)";

// Sets the target of `request`. A number with a sign is a distance, with a unit behind it a time ago.
// INVALID_ARGUMENT naming the text and the forms above.
absl::Status ParseResetTarget(std::string_view text, absl::Time now, naru::v1::ResetOffsetsRequest& request);

// "orders": all partitions of the topic; "orders:0,3": these. INVALID_ARGUMENT naming the text and what is
// allowed.
absl::StatusOr<naru::v1::TopicPartitions> ParseTopicPartitions(std::string_view text);

}  // namespace naru::cli
