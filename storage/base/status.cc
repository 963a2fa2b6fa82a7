#include "storage/base/status.h"

#include <array>

#include "absl/strings/cord.h"
#include "storage/base/strings.h"

namespace naru {
namespace {

struct ReasonEntry {
  Reason reason;
  std::string_view name;
  absl::StatusCode code;
};

constexpr std::array kReasons = {
    ReasonEntry{Reason::kExpectedOffsetMismatch, "EXPECTED_OFFSET_MISMATCH",
                absl::StatusCode::kFailedPrecondition},
    ReasonEntry{Reason::kProducerFenced, "PRODUCER_FENCED", absl::StatusCode::kFailedPrecondition},
    ReasonEntry{Reason::kOutOfOrderSequence, "OUT_OF_ORDER_SEQUENCE", absl::StatusCode::kFailedPrecondition},
    ReasonEntry{Reason::kStaleLeaderEpoch, "STALE_LEADER_EPOCH", absl::StatusCode::kFailedPrecondition},
    ReasonEntry{Reason::kInvalidTopicState, "INVALID_TOPIC_STATE", absl::StatusCode::kFailedPrecondition},
    ReasonEntry{Reason::kTopicIdMismatch, "TOPIC_ID_MISMATCH", absl::StatusCode::kFailedPrecondition},
    ReasonEntry{Reason::kMemberFenced, "MEMBER_FENCED", absl::StatusCode::kFailedPrecondition},
    ReasonEntry{Reason::kGroupNotEmpty, "GROUP_NOT_EMPTY", absl::StatusCode::kFailedPrecondition},
    ReasonEntry{Reason::kNoCommittedOffset, "NO_COMMITTED_OFFSET", absl::StatusCode::kFailedPrecondition},
    ReasonEntry{Reason::kNotLeader, "NOT_LEADER", absl::StatusCode::kFailedPrecondition},
    ReasonEntry{Reason::kNotCoordinator, "NOT_COORDINATOR", absl::StatusCode::kFailedPrecondition},
    ReasonEntry{Reason::kOffsetOutOfRange, "OFFSET_OUT_OF_RANGE", absl::StatusCode::kOutOfRange},
    ReasonEntry{Reason::kNoLeader, "NO_LEADER", absl::StatusCode::kUnavailable},
    ReasonEntry{Reason::kCoordinatorLoading, "COORDINATOR_LOADING", absl::StatusCode::kUnavailable},
    ReasonEntry{Reason::kNotEnoughReplicas, "NOT_ENOUGH_REPLICAS", absl::StatusCode::kUnavailable},
    ReasonEntry{Reason::kStorageFull, "STORAGE_FULL", absl::StatusCode::kUnavailable},
    ReasonEntry{Reason::kShuttingDown, "SHUTTING_DOWN", absl::StatusCode::kUnavailable},
    ReasonEntry{Reason::kLeaderChanged, "LEADER_CHANGED", absl::StatusCode::kAborted},
    ReasonEntry{Reason::kStreamItemSkipped, "STREAM_ITEM_SKIPPED", absl::StatusCode::kAborted},
    ReasonEntry{Reason::kInvalidField, "INVALID_FIELD", absl::StatusCode::kInvalidArgument},
    ReasonEntry{Reason::kMalformedBatch, "MALFORMED_BATCH", absl::StatusCode::kInvalidArgument},
    ReasonEntry{Reason::kInvalidUtf8, "INVALID_UTF8", absl::StatusCode::kInvalidArgument},
    ReasonEntry{Reason::kUnknownBatchField, "UNKNOWN_BATCH_FIELD", absl::StatusCode::kInvalidArgument},
    ReasonEntry{Reason::kRecordTooLarge, "RECORD_TOO_LARGE", absl::StatusCode::kInvalidArgument},
    ReasonEntry{Reason::kBatchTooLarge, "BATCH_TOO_LARGE", absl::StatusCode::kInvalidArgument},
    ReasonEntry{Reason::kUnsupportedCompression, "UNSUPPORTED_COMPRESSION",
                absl::StatusCode::kInvalidArgument},
    ReasonEntry{Reason::kTooManyInFlight, "TOO_MANY_IN_FLIGHT", absl::StatusCode::kResourceExhausted},
    ReasonEntry{Reason::kTooManyMembers, "TOO_MANY_MEMBERS", absl::StatusCode::kResourceExhausted},
    ReasonEntry{Reason::kTooManyGroups, "TOO_MANY_GROUPS", absl::StatusCode::kResourceExhausted},
    ReasonEntry{Reason::kGroupMemoryFull, "GROUP_MEMORY_FULL", absl::StatusCode::kResourceExhausted},
    ReasonEntry{Reason::kTopicNotFound, "TOPIC_NOT_FOUND", absl::StatusCode::kNotFound},
    ReasonEntry{Reason::kPartitionNotFound, "PARTITION_NOT_FOUND", absl::StatusCode::kNotFound},
    ReasonEntry{Reason::kTopicExists, "TOPIC_EXISTS", absl::StatusCode::kAlreadyExists},
    ReasonEntry{Reason::kGroupNotFound, "GROUP_NOT_FOUND", absl::StatusCode::kNotFound},
    ReasonEntry{Reason::kCorruptData, "CORRUPT_DATA", absl::StatusCode::kDataLoss},
    ReasonEntry{Reason::kInternal, "INTERNAL", absl::StatusCode::kInternal},
};

constexpr absl::string_view kReasonUrl = "naru/reason";
constexpr absl::string_view kMetadataUrl = "naru/metadata";  // key NUL value NUL …

const ReasonEntry& EntryOf(Reason reason) {
  for (const ReasonEntry& entry : kReasons) {
    if (entry.reason == reason) return entry;
  }
  return kReasons.back();
}

}  // namespace

std::string_view ReasonName(Reason reason) { return EntryOf(reason).name; }
absl::StatusCode CanonicalCode(Reason reason) { return EntryOf(reason).code; }

std::optional<Reason> ReasonFromName(std::string_view name) {
  for (const ReasonEntry& entry : kReasons) {
    if (entry.name == name) return entry.reason;
  }
  return std::nullopt;
}

absl::Status MakeError(Reason reason, std::string_view message, const ErrorMetadata& metadata) {
  absl::Status status(CanonicalCode(reason), Absl(message));
  status.SetPayload(kReasonUrl, absl::Cord(Absl(ReasonName(reason))));
  if (!metadata.empty()) {
    std::string packed;
    for (const auto& [key, value] : metadata) {
      packed.append(key).push_back('\0');
      packed.append(value).push_back('\0');
    }
    status.SetPayload(kMetadataUrl, absl::Cord(std::move(packed)));
  }
  return status;
}

absl::Status InvalidField(std::string_view field, std::string_view value, std::string_view allowed) {
  return MakeError(Reason::kInvalidField, absl::StrCat(field, ": ", value, " is not allowed; ", allowed),
                   {{"field", std::string(field)}, {"value", std::string(value)}});
}

std::optional<Reason> ReasonOf(const absl::Status& status) {
  if (auto payload = status.GetPayload(kReasonUrl)) return ReasonFromName(std::string(*payload));
  return std::nullopt;
}

ErrorMetadata MetadataOf(const absl::Status& status) {
  ErrorMetadata metadata;
  auto payload = status.GetPayload(kMetadataUrl);
  if (!payload) return metadata;
  const std::string packed(*payload);
  std::string_view rest = packed;
  auto take = [&rest] {
    const size_t end = rest.find('\0');
    std::string taken(rest.substr(0, end));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    return taken;
  };
  while (!rest.empty()) {
    std::string key = take();
    std::string value = take();
    metadata.emplace_back(std::move(key), std::move(value));
  }
  return metadata;
}

std::string MetadataValue(const absl::Status& status, std::string_view key) {
  for (auto& [name, value] : MetadataOf(status)) {
    if (name == key) return value;
  }
  return "";
}

}  // namespace naru
