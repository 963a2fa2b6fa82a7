// What to make of an end that is not clean: a torn tail, which a crash leaves and which is cut off, or a hole
// in what was durable, which is never touched. See storage/FORMAT.md.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/base/files.h"
#include "storage/segments/segment.h"

namespace naru {

// An entry that proves that what is missing had been durable.
struct DurabilityProof {
  std::string path;
  uint64_t position = 0;
  Sequence sequence;
  Sequence durable_sequence;
};

// Searches everything from `position` of the first of `segments` on, at every place where an entry could
// begin, for a good header that says that entry `missing` was durable. Reads it all.
absl::StatusOr<std::optional<DurabilityProof>> FindDurabilityProof(
    const std::vector<std::shared_ptr<Segment>>& segments, uint64_t position, uint32_t salt,
    Sequence missing);

// Whether [position, size) of the segment is all zeros.
absl::StatusOr<bool> IsZeroFrom(const Segment& segment, uint64_t position);

// Makes [position, size) of the segment zeros again, durable, once what is there that is not zero has been
// copied to `aside_path`. Returns the number of bytes cut off, 0 when all were zeros (then nothing is changed
// but a size below `size_bytes`, which is extended). A full disk is no error: there is no copy then, and the
// size is what the disk has room for.
absl::StatusOr<uint64_t> CutTornTail(FileSystem& files, Segment& segment, uint64_t position,
                                     uint64_t size_bytes, const std::string& aside_path);

}  // namespace naru
