// What one log knows of its idempotent producers: per producer the epoch, the next sequence and the last five
// batches (KIP-98). Pure; not thread-safe.
//
// A producer is forgotten when it was silent for too long. That is decided by appends alone, by their times:
// whoever applies the same appends with the same expiry forgets the same producers, at the same points of the
// log. So a log without appends keeps its producers in memory; what is asked of them in the meantime is
// answered as if they were gone.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
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
  // repetition of that one; PRODUCER_FENCED or OUT_OF_ORDER_SEQUENCE with metadata. Producers whose newest
  // batch is older than `forget_before_ms` are not known.
  absl::StatusOr<const ProducerState::Batch*> Check(const ProducerStamp& stamp, int64_t record_count,
                                                    int64_t forget_before_ms = INT64_MIN) const;
  // Follows the stamp, unchecked. Gives the producers that are forgotten for want of room.
  std::vector<int64_t> Append(const ProducerStamp& stamp, int64_t record_count, Offset base_offset,
                              int64_t append_time_ms);
  // Forgets the producers whose newest batch is older, as far as no newer one stands before it in the log.
  std::vector<int64_t> Expire(int64_t forget_before_ms);

  // nullptr: unknown.
  const Entry* Find(int64_t producer_id) const;
  // The batch is one of the producer's newest.
  bool Remembers(int64_t producer_id, Offset base_offset) const;
  const std::map<int64_t, Entry>& entries() const { return entries_; }
  std::vector<ProducerState> States() const;

  // Takes the entry as it is.
  void Restore(Entry entry);
  void Forget(int64_t producer_id);
  void Clear() {
    entries_.clear();
    by_age_.clear();
  }

  static void EncodeEntry(const Entry& entry, std::string& to);
  // Nothing: not what EncodeEntry wrote.
  static std::optional<Entry> DecodeEntry(LittleReader& from);

 private:
  std::vector<int64_t> ForgetIdle();

  std::map<int64_t, Entry> entries_;
  // Each producer by its newest batch: those that are silent for the longest come first.
  std::set<std::pair<Offset, int64_t>> by_age_;
};

// What a copy of a log that begins at `start` has to be told of the producers of what is not in it any more,
// out of what the log knows of them at a later end (KIP-360: a producer's state outlives its records). A
// producer of whom only batches at or above `start` are remembered, but not its first, comes with an empty
// batch before those: where its sequence stood.
std::vector<ProducerState> ProducersBefore(const std::vector<ProducerState>& states, Offset start);
// INVALID_FIELD unless these are such producers.
absl::Status CheckProducersBefore(const std::vector<ProducerState>& states, Offset start);

// Rebuilds the producers that a truncation touches: those with batches at or above its end. What such a
// producer appended before its remembered batches is found by visiting the log's batches, newest first.
class ProducerLookBack {
 public:
  // `start`: the log's; what is below may have been some producer's.
  ProducerLookBack(const ProducerTable& producers, Offset start, Offset end);

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
    // What is known when nothing is found.
    std::optional<ProducerState> stood;
  };
  std::map<int64_t, Search> touched_;
  size_t searched_ = 0;
};

}  // namespace naru
