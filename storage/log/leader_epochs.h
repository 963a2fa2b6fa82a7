// Where in one log each leader epoch began: what followers and leaders compare to find where their logs part
// (KIP-101, KIP-279). Pure; not thread-safe.
#pragma once

#include <string>
#include <vector>

#include "storage/base/coding.h"
#include "storage/base/ids.h"
#include "storage/log/log_store.h"

namespace naru {

class LeaderEpochs {
 public:
  struct Start {
    LeaderEpoch epoch;
    Offset offset;
    friend bool operator==(const Start&, const Start&) = default;
  };

  // The log's leader epoch: the greatest that was begun or appended in; -1 before the first. It never goes
  // back, so that who was fenced stays fenced.
  LeaderEpoch current() const { return current_; }
  // The epoch of the newest batch that is still in the log or was, unless truncated; -1 when there is none.
  LeaderEpoch of_last_batch() const { return starts_.empty() ? LeaderEpoch(-1) : starts_.back().epoch; }

  // `epoch` ≥ current().
  void Begin(LeaderEpoch epoch) { current_ = epoch; }
  // A batch of `epoch` (≥ of_last_batch()) was appended at `offset`.
  void Append(LeaderEpoch epoch, Offset offset);
  // Batches at and above `end` are gone.
  void Truncate(Offset end);
  // The log start moved up: epochs that ended at or below it are forgotten, but for the newest.
  void MoveStart(Offset start);

  // As LogStore::EndOffsetForEpoch.
  EpochEnd EndOffset(LeaderEpoch epoch, Offset log_start, Offset log_end) const;

  // Rising in epoch and offset; epochs in which nothing was appended are not there.
  const std::vector<Start>& starts() const { return starts_; }

  void Encode(std::string& to) const;
  // False: not what Encode wrote.
  bool Decode(LittleReader& from);

  friend bool operator==(const LeaderEpochs&, const LeaderEpochs&) = default;

 private:
  LeaderEpoch current_ = LeaderEpoch(-1);
  std::vector<Start> starts_;
};

}  // namespace naru
