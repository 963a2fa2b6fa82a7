// Which partition a record goes to. Not thread-safe.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "clients/cpp/outgoing_record.h"
#include "storage/base/ids.h"

namespace naru::client {

// One topic's choice: the record's own partition, else murmur2 of its key as Kafka does, else every record
// the next partition in turn: seven keyless records over three partitions land 3, 2 and 2.
class PartitionRotation {
 public:
  // The first keyless record goes to `start` modulo the number of partitions.
  explicit PartitionRotation(uint32_t start) : next_(start) {}

  // `partition_count` > 0; it may grow between calls. PARTITION_NOT_FOUND for a record's own partition
  // outside it.
  absl::StatusOr<PartitionId> Choose(const OutgoingRecord& record, int32_t partition_count);

 private:
  uint32_t next_;
};

}  // namespace naru::client
