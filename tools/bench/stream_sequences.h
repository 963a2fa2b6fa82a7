// The stamps of what one stream writes as an idempotent producer. Pure; not thread-safe.
#pragma once

#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "storage/batch/producer_stamp.h"

namespace naru::bench {

class StreamSequences {
 public:
  explicit StreamSequences(int64_t producer_id) : producer_id_(producer_id) {}

  // For the next batch of so many records to a partition.
  ProducerStamp Take(int32_t partition, int64_t records) {
    int64_t& next = next_[partition];
    const ProducerStamp stamp{producer_id_, epoch_, next};
    next += records;
    return stamp;
  }
  // Something failed and is not sent again: what comes later must not stand behind a gap.
  void BeginAnew() {
    ++epoch_;
    next_.clear();
  }

 private:
  const int64_t producer_id_;
  int64_t epoch_ = 0;
  absl::flat_hash_map<int32_t, int64_t> next_;
};

}  // namespace naru::bench
