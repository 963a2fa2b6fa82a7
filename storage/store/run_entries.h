// A run's bytes taken apart into its batches, for who looks at every record. Pure, thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/base/ids.h"
#include "storage/batch/batch.h"
#include "storage/segments/run.h"

namespace naru {

struct RunEntry {
  EntryHeader header;
  std::string_view body;  // of the bytes that were handed in

  std::string_view batch() const { return body.substr(header.Has(kThinned) ? header.deltas_length : 0); }
};

// `bytes`: all of `run`, as it stands in its segment. CORRUPT_DATA when they fail a checksum or are not the
// run's.
absl::StatusOr<std::vector<RunEntry>> ParseRun(LogId log, const Run& run, std::string_view bytes,
                                               uint32_t salt);

// The offsets of the batch's records less its base, one for each; empty when they follow each other from 0
// on. CORRUPT_DATA when they cannot be read.
absl::StatusOr<std::vector<uint32_t>> OffsetDeltasOf(const RunEntry& entry);

// Visits the batch's records with their offsets, in order, until `visit` says false.
absl::Status ForEachRecordOf(const RunEntry& entry,
                             absl::FunctionRef<bool(Offset offset, const RecordView& record)> visit);

}  // namespace naru
