// ProduceRequest and ProduceStreamRequest taken apart from their raw bytes: small fields are copied, the
// batch stays what the client sent and shares its memory. Pure.
//
// As protobuf's parsers do, unknown fields are ignored and the last of a repeated scalar wins. Beyond them,
// refused are: a known field with another wire type than its own, and a second `batch`, `produce` or
// `resume`, which a parser would merge with the first.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "naru/v1/produce.pb.h"

namespace naru::services {

struct RawProduceRequest {
  std::string topic;
  std::string topic_id;
  // At most one of the two.
  std::optional<int32_t> partition;
  std::optional<std::string> partition_key;
  // As sent; any number.
  int32_t acks = 0;
  std::optional<int64_t> expected_offset;
  std::optional<int32_t> leader_epoch;
  // Not looked into; empty when absent.
  absl::Cord batch;
};

// INVALID_FIELD or MALFORMED_BATCH (rule duplicate_field) as above.
absl::StatusOr<RawProduceRequest> ParseProduceRequest(const absl::Cord& message);

struct RawStreamRequest {
  int64_t id = 0;
  // At most one of the two: the last that was sent.
  std::optional<absl::Cord> produce;  // a ProduceRequest
  std::optional<naru::v1::Resume> resume;
};

absl::StatusOr<RawStreamRequest> ParseStreamRequest(const absl::Cord& message);

}  // namespace naru::services
