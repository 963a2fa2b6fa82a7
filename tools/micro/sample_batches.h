// Batches to measure with: records alike, their bytes the same in every run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/cord.h"
#include "storage/batch/batch.h"

namespace naru::micro {

// Wide enough for every sample.
inline constexpr BatchLimits kLimits = {
    .record_bytes_max = 1 << 20, .batch_bytes_max = 4 << 20, .records_max = 1'000'000};
inline constexpr int64_t kAppendTimeMs = 1'700'000'000'000;
// As long as the shortest keys in use.
inline constexpr size_t kKeyBytes = 8;

struct Shape {
  size_t value_bytes = 100;
  // Records are added until the batch has as many.
  size_t batch_bytes = 64 << 10;
  bool keyed = false;
  bool timestamps = false;
};

struct Sample {
  std::string bytes;
  size_t records = 0;
};

// Values are random bytes; a key is the beginning of its value. `shape.value_bytes` ≥ kKeyBytes.
Sample MakeSample(const Shape& shape);

// `bytes` in chunks as gRPC's transport cuts them, referring to `bytes`.
absl::Cord InChunks(const std::string& bytes, size_t chunk_bytes);

}  // namespace naru::micro
