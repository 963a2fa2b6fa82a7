// What one log is, apart from its bytes: the fold of everything that was done to it. The same fold runs in
// the appender, in recovery and in simulation: no IO, no clock, no threads, no randomness. Not thread-safe;
// copyable.
//
// The caller checks (Check…), makes the change durable or not as it sees fit, and applies (Append, MoveStart,
// …). Applying a change that its check refuses is a defect and dies.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/base/ids.h"
#include "storage/log/leader_epochs.h"
#include "storage/log/log_store.h"
#include "storage/log/producer_table.h"

namespace naru {

// What the fold needs to know of a batch.
struct AppliedBatch {
  Offset base_offset;
  Offset next_offset;
  LeaderEpoch leader_epoch;
  int64_t append_time_ms = 0;
  int64_t max_timestamp_ms = 0;
  // Counts the records that the batch was appended with: its offsets.
  std::optional<ProducerStamp> producer;
  // With this batch the log forgets producers whose newest batch is older.
  int64_t forget_producers_before_ms = INT64_MIN;
};

class LogState {
 public:
  // --- What it is.
  Offset start() const { return start_; }
  Offset end() const { return end_; }
  const LeaderEpochs& epochs() const { return epochs_; }
  const ProducerTable& producers() const { return producers_; }
  // The greatest max_timestamp_ms of the batches appended so far (not lowered by a moved start); 0 before the
  // first. What a time index holds beside each offset.
  int64_t prefix_max_timestamp_ms() const { return prefix_max_timestamp_ms_; }
  // Of the last batch, 0 when there was none.
  int64_t last_append_time_ms() const { return last_append_time_ms_; }
  EpochEnd EndOffsetForEpoch(LeaderEpoch epoch) const { return epochs_.EndOffset(epoch, start_, end_); }

  // --- Appends.
  // What LogStore::Append makes of the request at this point: nothing: a new batch, to be laid at end() under
  // epochs().current(); a value: a repetition of a batch in the log (its caller answers when that one is
  // durable); else the error. The leader epoch is checked first, then the producer, then expected_offset: a
  // retry whose first try was appended is a duplicate, not a mismatch.
  // Producers are forgotten as they would be by the append.
  absl::StatusOr<std::optional<Appended>> CheckAppend(const AppendRequest& request,
                                                      int64_t forget_producers_before_ms = INT64_MIN) const;
  // As LogStore::AppendAsReplica says; also refuses empty requests.
  absl::Status CheckReplicaAppend(const ReplicaAppendRequest& request) const;
  // Whether a batch of these offsets may be the next: it begins at end(). A log that was reset inside a batch
  // of the log it copies begins with all of that batch.
  bool Continues(Offset base_offset, Offset next_offset) const {
    const bool begins = start_ == end_ && epochs_.starts().empty();
    return base_offset == end_ || (begins && base_offset < end_ && end_ < next_offset);
  }
  // `batch` continues the log, and its epoch is not below the last batch's. Gives the producers that the log
  // has forgotten with it.
  std::vector<int64_t> Append(const AppliedBatch& batch);

  // --- The start.
  // OFFSET_OUT_OF_RANGE (with metadata) above `readable_end`.
  absl::Status CheckMoveStart(Offset start, Offset readable_end) const;
  // False: `start` is not above the start, nothing changed. `start` ≤ end().
  bool MoveStart(Offset start);

  // --- Epochs. STALE_LEADER_EPOCH below the current one.
  absl::Status CheckBeginEpoch(LeaderEpoch epoch) const;
  void BeginEpoch(LeaderEpoch epoch);

  // --- Truncation. Older batches of a producer than its last five are forgotten, and so are the time stamps
  // of all batches but the last: when newer ones go, they must be found again in the log. So truncating takes
  // three steps:
  //     LogState::LookBack look_back(state, end);
  //     for (each batch below `end`, newest first) { if (!look_back.wants_more()) break;
  //     look_back.Visit(batch); } state.Truncate(look_back, prefix_max);
  // wants_more() is false after the first batch unless a producer has batches at or above `end` and some
  // older than those remembered. Of a producer whose every remembered batch went, and none of whose older
  // ones is in the log any more, it is known afterwards where its sequence stood. A store that keeps Encode()
  // in its truncation entry needs no looking back in replay.
  class LookBack {
   public:
    // `end`: a batch's base offset, or the log's end, or anything below the log start.
    LookBack(const LogState& state, Offset end)
        : end_(end), producers_(state.producers_, state.start_, end) {}
    bool wants_more() const { return !last_append_time_ms_ || producers_.wants_more(); }
    void Visit(const AppliedBatch& batch);

   private:
    friend class LogState;
    Offset end_;
    std::optional<int64_t> last_append_time_ms_;
    ProducerLookBack producers_;
  };
  // `prefix_max_timestamp_ms`: the greatest timestamp of the batches below the end, 0 when there are none.
  // The epochs' starts go back, the current epoch does not. Below the start: the log is empty at the end, the
  // start is there too.
  void Truncate(const LookBack& look_back, int64_t prefix_max_timestamp_ms);

  // As LogStore::Reset.
  static absl::Status CheckReset(Offset start, const std::vector<ProducerState>& producers);
  void Reset(Offset start, const std::vector<ProducerState>& producers);

  // --- As bytes, versioned, little-endian. A store may keep all in one place, or the head apart from the
  // producers to write only those that changed.
  std::string Encode() const;
  std::string EncodeHead() const;
  // "" for a producer that is not known.
  std::string EncodeProducer(int64_t producer_id) const;
  // DATA_LOSS for bytes that Encode did not write.
  static absl::StatusOr<LogState> Decode(std::string_view bytes);
  // A state without producers.
  static absl::StatusOr<LogState> DecodeHead(std::string_view bytes);
  absl::Status RestoreProducer(std::string_view bytes);

 private:
  static bool TakeHead(LittleReader& from, LogState& state);

  Offset start_;
  Offset end_;
  LeaderEpochs epochs_;
  ProducerTable producers_;
  int64_t prefix_max_timestamp_ms_ = 0;
  int64_t last_append_time_ms_ = 0;
};

// STREAM_ITEM_SKIPPED when the request's fence blocks it. What a store looks at first when it decides an
// append.
absl::Status CheckFence(const AppendRequest& request);

// INVALID_FIELD when a batch is not what its own fields say: other bytes than its crc32c stands for, or other
// offsets than it has records or offset_deltas. Reads all bytes; what a store looks at before it takes the
// batches in.
absl::Status CheckReplicaBatches(const ReplicaAppendRequest& request);

// Offsets that a request with gaps covers, at most.
constexpr int64_t kReplicaOffsetsMax = int64_t{4} << 30;

// What stands for the offsets from `from` to `to` (above it), whose records are gone, before a batch of
// `epoch`.
std::vector<StoredBatchView> EmptyStretch(const LogState& state, Offset from, Offset to, LeaderEpoch epoch);

// The errors that every store gives in the same words.
absl::Status LogNotFound(LogId log);
absl::Status OffsetOutOfRange(std::string_view what, Offset offset, Offset log_start, Offset readable_end);

}  // namespace naru
