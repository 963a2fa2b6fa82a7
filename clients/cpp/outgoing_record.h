// What an application hands to a Producer, and how it is written down: straight as the bytes of a Record
// message. Pure, thread-safe.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/strings/cord.h"
#include "naru/v1/types.pb.h"
#include "storage/base/ids.h"

namespace naru::client {

struct HeaderView {
  std::string_view key;  // UTF-8
  std::string_view value;
};

// Views need to live only as long as the call that they are given to.
struct OutgoingRecord {
  // Absent: no key.
  std::optional<std::string_view> key;
  // Absent: a tombstone.
  std::optional<std::string_view> value;
  std::span<const HeaderView> headers;
  // Milliseconds since the epoch; 0: the time of the append.
  int64_t timestamp_ms = 0;
  // Absent: by key, or the next partition in turn.
  std::optional<PartitionId> partition;
};

// Appends the bytes of `record` as a naru.v1.Record to `out`.
void EncodeRecord(const OutgoingRecord& record, std::string& out);

// The bytes of a naru.v1.ProduceStreamRequest that appends `batch` (a RecordBatch's bytes, not parsed).
grpc::ByteBuffer EncodeProduceItem(int64_t id, std::string_view topic, PartitionId partition,
                                   naru::v1::Acks acks, const absl::Cord& batch);

// The bytes of a naru.v1.ProduceStreamRequest that lets one partition go on after a failed item.
grpc::ByteBuffer EncodeResume(int64_t id, std::string_view topic, PartitionId partition);

}  // namespace naru::client
