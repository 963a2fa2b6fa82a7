// What the files of Broker share: the reading side of a replica's log, and completions of the store that come
// to the process that asked.
#pragma once

#include <algorithm>
#include <utility>

#include "tests/sim/broker.h"

namespace naru::sim {

class Broker::View final : public cluster::LogView {
 public:
  View(const MemoryLogStore& store, LogId log) : store_(store), log_(log), durable_start_(Info().log_start) {}
  cluster::LogPositions Positions() const override {
    const LogInfo info = Info();
    return {info.log_start, info.end, info.durable_end, std::min(durable_start_, info.log_start)};
  }
  void StartIsDurable(Offset start) { durable_start_ = std::max(durable_start_, start); }
  EpochEnd EndOffsetForEpoch(LeaderEpoch epoch) const override {
    const EpochEnd found =
        store_.EndOffsetForEpoch(log_, epoch).value_or(EpochEnd{LeaderEpoch(-1), Offset(0)});
    const bool is_left = left_over_.end == Info().end && left_over_.epoch <= epoch;
    return is_left && left_over_.epoch > found.epoch ? left_over_ : found;
  }
  // As if the log had not forgotten the epoch that it was cut by, for as long as it ends there.
  void LeaveEpoch(LeaderEpoch epoch) { left_over_ = {epoch, Info().end}; }
  std::vector<ProducerState> Producers() const override {
    return store_.Producers(log_).value_or(std::vector<ProducerState>{});
  }

 private:
  // A log that was deleted is empty.
  LogInfo Info() const { return store_.Info(log_).value_or(LogInfo{}); }

  const MemoryLogStore& store_;
  const LogId log_;
  Offset durable_start_;
  EpochEnd left_over_{LeaderEpoch(-1), Offset(0)};
};

// Completions of the store come to the process that asked, or to nobody.
template <typename Callback>
auto Broker::InThisLife(Callback callback) {
  return [this, life = process().life(), callback = std::move(callback)](auto result) mutable {
    if (process().up() && process().life() == life) callback(std::move(result));
  };
}

}  // namespace naru::sim
