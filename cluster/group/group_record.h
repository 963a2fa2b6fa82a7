// Groups' rows as records of __consumer_offsets (proto/naru/internal/v1/group.proto). Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "cluster/group/group_event.h"

namespace naru::cluster {

struct EncodedGroupRecord {
  std::string key;
  std::optional<std::string> value;  // none: a tombstone
};
EncodedGroupRecord EncodeGroupRecord(std::string_view group, const GroupRecord& record);

struct DecodedGroupRecord {
  std::string group;
  GroupRecord record;
};
// CORRUPT_DATA when it is not what EncodeGroupRecord writes. A row of a kind that only a later version knows
// is nothing.
absl::StatusOr<std::optional<DecodedGroupRecord>> DecodeGroupRecord(std::string_view key,
                                                                    std::optional<std::string_view> value);

// A Record message of the public API around it.
std::string ToRecord(const EncodedGroupRecord& encoded);

}  // namespace naru::cluster
