// Which partition a key belongs to, and a batch split by that. Pure, thread-safe.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "storage/base/ids.h"
#include "storage/batch/batch.h"

namespace naru {

// Kafka's murmur2 (org.apache.kafka.common.utils.Utils.murmur2), seed 0x9747b28c.
uint32_t Murmur2(std::string_view data);

// (Murmur2(key) & 0x7fffffff) % partition_count, as Kafka's default partitioner. `partition_count` > 0.
PartitionId PartitionForKey(std::string_view key, int32_t partition_count);

struct BatchPart {
  PartitionId partition;
  // A RecordBatch of the same raw records.
  absl::Cord batch;
  // Of the original batch, rising; empty when the batch was not split.
  std::vector<uint32_t> record_indexes;
};

// Splits a batch that WalkBatch accepted (`info` is what it found) by each record's key; keyless records go
// together to `keyless`. In order of partition; order within a partition is kept.
// When all go to one partition the original bytes come back. Otherwise a part is compressed as the original
// was, or not at all where that is smaller, so that it keeps every limit that the original kept; it states
// record_count only where compressed.
absl::StatusOr<std::vector<BatchPart>> SplitByKey(const absl::Cord& batch, const BatchInfo& info,
                                                  int32_t partition_count, PartitionId keyless);

}  // namespace naru
