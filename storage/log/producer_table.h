// What one log knows of its idempotent producers: per producer the epoch, the next sequence and the last five
// batches (KIP-98). Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/base/coding.h"
#include "storage/log/log_store.h"

namespace naru {

class ProducerTable {
 public:
  static constexpr size_t kBatchesRemembered = 5;
  // Producers of one log; beyond it those that have not appended for the longest are forgotten, a quarter at
  // once.
  static constexpr size_t kProducersMax = 65'536;

  struct Entry {
    ProducerState state;
    // It appended batches before those in `state`, in this epoch or an earlier one.
    bool forgot_older = false;
  };

  // What a stamped batch of `record_count` records would be: nullptr: the producer's next; a batch: a
  // repetition of that one; PRODUCER_FENCED or OUT_OF_ORDER_SEQUENCE with metadata.
  absl::StatusOr<const ProducerState::Batch*> Check(const ProducerStamp& stamp, int64_t record_count) const;
  // Follows the stamp, unchecked.
  void Append(const ProducerStamp& stamp, int64_t record_count, Offset base_offset, int64_t append_time_ms);

  // nullptr: unknown.
  const Entry* Find(int64_t producer_id) const;
  const std::map<int64_t, Entry>& entries() const { return entries_; }
  std::vector<ProducerState> States() const;

  // Takes the entry as it is.
  void Restore(Entry entry);
  void Forget(int64_t producer_id) { entries_.erase(producer_id); }
  void Clear() { entries_.clear(); }

  static void EncodeEntry(const Entry& entry, std::string& to);
  // Nothing: not what EncodeEntry wrote.
  static std::optional<Entry> DecodeEntry(LittleReader& from);

 private:
  void ForgetIdle();

  std::map<int64_t, Entry> entries_;
};

// Rebuilds the producers that a truncation touches: those with batches at or above its end. What such a
// producer appended before its remembered batches is found by visiting the log's batches, newest first.
class ProducerLookBack {
 public:
  ProducerLookBack(const ProducerTable& producers, Offset end);

  // Some producer's older batches are still to be found. No longer true once all are, which is at once when
  // every touched producer's past was remembered.
  bool wants_more() const { return searched_ > 0; }
  // `base_offset` below the truncation's end and below every batch visited before.
  void Visit(const ProducerStamp& stamp, int64_t record_count, Offset base_offset, int64_t append_time_ms);
  // Puts what was found into the table that the look-back was made for.
  void Finish(ProducerTable& producers) const;

 private:
  struct Search {
    ProducerTable::Entry entry;
    bool searching = false;
  };
  std::map<int64_t, Search> touched_;
  size_t searched_ = 0;
};

}  // namespace naru
