// Errors as values: an absl::Status that also says which of the API's documented reasons it is, with
// metadata. The reasons and their canonical codes are those of proto/naru/v1/types.proto (ErrorReason).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/base/strings.h"

namespace naru {

enum class Reason {
  // FAILED_PRECONDITION
  kExpectedOffsetMismatch,  // metadata: end_offset
  kProducerFenced,          // metadata: producer_epoch
  kOutOfOrderSequence,      // metadata: expected_sequence
  kStaleLeaderEpoch,        // metadata: leader_epoch
  kInvalidTopicState,
  kTopicIdMismatch,  // metadata: topic_id
  kMemberFenced,
  kGroupNotEmpty,
  kNoCommittedOffset,  // metadata: topic, partition
  kNotLeader,          // metadata: leader, address, leader_epoch
  kNotCoordinator,     // metadata: address; between brokers and coordinators alone
  // OUT_OF_RANGE
  kOffsetOutOfRange,  // metadata: log_start_offset, high_watermark
  // UNAVAILABLE
  kNoLeader,
  kCoordinatorLoading,
  kNotEnoughReplicas,
  kStorageFull,
  kShuttingDown,
  // ABORTED
  kLeaderChanged,
  kStreamItemSkipped,
  // INVALID_ARGUMENT
  kInvalidField,    // metadata: field, value
  kMalformedBatch,  // metadata: rule
  kInvalidUtf8,
  kUnknownBatchField,
  kRecordTooLarge,  // metadata: limit_bytes
  kBatchTooLarge,   // metadata: limit_bytes or limit_records
  kUnsupportedCompression,
  // RESOURCE_EXHAUSTED
  kTooManyInFlight,
  kTooManyMembers,   // metadata: limit
  kTooManyGroups,    // metadata: limit
  kGroupMemoryFull,  // metadata: limit_bytes
  // NOT_FOUND, ALREADY_EXISTS
  kTopicNotFound,
  kPartitionNotFound,
  kTopicExists,
  kGroupNotFound,
  // DATA_LOSS
  kCorruptData,
  // INTERNAL
  kInternal,
};

// As on the wire: "OFFSET_OUT_OF_RANGE".
std::string_view ReasonName(Reason reason);
std::optional<Reason> ReasonFromName(std::string_view name);
absl::StatusCode CanonicalCode(Reason reason);

using ErrorMetadata = std::vector<std::pair<std::string, std::string>>;

// A status with CanonicalCode(reason). `message` names the field, its value and what is allowed, or what to
// do.
absl::Status MakeError(Reason reason, std::string_view message, const ErrorMetadata& metadata = {});

// INVALID_ARGUMENT/INVALID_FIELD: "`field`: `value` is not allowed; `allowed`".
absl::Status InvalidField(std::string_view field, std::string_view value, std::string_view allowed);

// What MakeError put in; nothing for a status made otherwise.
std::optional<Reason> ReasonOf(const absl::Status& status);
ErrorMetadata MetadataOf(const absl::Status& status);
// One metadata value, "" when absent.
std::string MetadataValue(const absl::Status& status, std::string_view key);

}  // namespace naru

#define NARU_STATUS_CONCAT_INNER(a, b) a##b
#define NARU_STATUS_CONCAT(a, b) NARU_STATUS_CONCAT_INNER(a, b)

#define NARU_RETURN_IF_ERROR(expression)                                                \
  do {                                                                                  \
    if (absl::Status naru_status = (expression); !naru_status.ok()) return naru_status; \
  } while (false)

// NARU_ASSIGN_OR_RETURN(auto x, F()): x is the value of F(), or its error is returned.
#define NARU_ASSIGN_OR_RETURN(target, expression)                      \
  auto NARU_STATUS_CONCAT(naru_or_, __LINE__) = (expression);          \
  if (!NARU_STATUS_CONCAT(naru_or_, __LINE__).ok())                    \
    return std::move(NARU_STATUS_CONCAT(naru_or_, __LINE__)).status(); \
  target = *std::move(NARU_STATUS_CONCAT(naru_or_, __LINE__))  // NOLINT(bugprone-macro-parentheses)
