// Places in partitions, as readers tell of them.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace naru::client {

// A partition that is read and the offset to go on from.
struct PartitionPosition {
  std::string topic;
  int32_t partition = 0;
  int64_t next_offset = 0;
};

// A partition cannot be read on; the others go on.
struct PartitionFailed {
  PartitionPosition position;
  absl::Status status;
};

}  // namespace naru::client
