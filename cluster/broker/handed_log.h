// The reading side of one replica's log: what the store has, and what was handed to it and has not taken
// effect yet. Thread-unsafe: of its owner's loop.
#pragma once

#include <deque>
#include <vector>

#include "cluster/replication/log_view.h"
#include "storage/base/ids.h"
#include "storage/log/log_store.h"

namespace naru::cluster {

class HandedLog final : public LogView {
 public:
  // The store has the log. Whatever its start is when a process begins stays: it was read from the disk.
  HandedLog(const LogStore& store, LogId log);

  LogPositions Positions() const override;
  EpochEnd EndOffsetForEpoch(LeaderEpoch epoch) const override;
  std::vector<ProducerState> Producers() const override;

  // These were handed to AppendAsReplica, in the order of the calls.
  void Hand(const std::vector<StoredBatchView>& batches);
  // Everything handed over has taken effect, or was refused: what counts is what the store has.
  void Settle() { handed_.clear(); }
  // A start moved to, or reset to, is on stable storage.
  void StartIsDurable(Offset start);

 private:
  struct Stretch {
    Offset begin;
    Offset end;
    LeaderEpoch epoch;
  };

  LogInfo Info() const;
  // The store has all below `end`.
  void Forget(Offset end) const;

  const LogStore& store_;
  const LogId log_;
  Offset durable_start_;
  mutable std::deque<Stretch> handed_;  // one for each epoch
};

}  // namespace naru::cluster
