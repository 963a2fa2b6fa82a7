// Runs of one log that follow each other, on their way into one run that takes their place: with the records
// that stay, in their order, at their offsets, laid side by side. Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "storage/segments/control_bodies.h"
#include "storage/store/run_entries.h"

namespace naru {

// A batch as it is to be.
struct PackedEntry {
  EntryHeader header;
  std::string body;
};

// A run's batches with what stays of them.
struct ThinnedRun {
  std::vector<PackedEntry> entries;
  int64_t records_left_out = 0;
  int64_t entry_bytes = 0;
};

// What is asked about all that stands in a run, in order.
struct ThinQuestions {
  // Whether the record stays.
  absl::FunctionRef<bool(Offset offset, const RecordView& record)> keep;
  // Whether the log still knows the batch as one of its producer's newest. Then its stamp stays, even where
  // none of its records does: a replica that is copied from this one later must know the producer too.
  absl::FunctionRef<bool(const ProducerStamp& stamp, Offset base_offset)> remembers;
};

// A batch that loses all its records becomes an entry that stands for its offsets; such entries without a
// stamp that follow each other become one. CORRUPT_DATA when a batch cannot be read.
absl::StatusOr<ThinnedRun> ThinRun(const std::vector<RunEntry>& entries, ThinQuestions ask);

class RunPack {
 public:
  RunPack(LogId log, uint32_t salt) : log_(log), salt_(salt) {}

  bool empty() const { return old_.empty(); }
  size_t runs() const { return old_.size(); }
  // Of the entries, about.
  int64_t entry_bytes() const { return entry_bytes_; }
  int64_t records_left_out() const { return records_left_out_; }
  // Bytes that the runs put into it take where they are.
  int64_t old_bytes() const { return old_bytes_; }

  // The run begins where the last one ended, if there is one.
  bool Continues(const Run& run) const { return old_.empty() || old_.back().next == run.base; }
  // The next run, which continues the others.
  void Add(const Run& run, ThinnedRun thinned);

  // Appends the entries to `to`; the run's position is where they begin in it. The pack is empty afterwards.
  MovedRun Take(std::string& to);
  void Drop();

 private:
  void AddEntry(PackedEntry entry);

  const LogId log_;
  const uint32_t salt_;
  std::vector<Run> old_;
  std::vector<PackedEntry> entries_;
  int64_t entry_bytes_ = 0;
  int64_t old_bytes_ = 0;
  int64_t records_left_out_ = 0;
};

}  // namespace naru
