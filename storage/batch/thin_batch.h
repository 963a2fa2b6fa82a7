// Leaves records out of a batch, for compaction, and with them its producer's stamp, which would count too
// many. Pure, thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "storage/batch/batch.h"

namespace naru {

struct ThinnedBatch {
  // A RecordBatch of the raw records that stay, compressed as the original was, or not at all where that is
  // smaller. When all stay, the original bytes.
  absl::Cord batch;
  // Their places in the original, from 0, rising.
  std::vector<uint32_t> kept;
};

// Asks `keep` about each record, in order. nullopt: none stays. DATA_LOSS when the bytes are not a valid
// batch.
absl::StatusOr<std::optional<ThinnedBatch>> ThinBatch(
    const absl::Cord& batch, absl::FunctionRef<bool(uint32_t index, const RecordView& record)> keep);

}  // namespace naru
