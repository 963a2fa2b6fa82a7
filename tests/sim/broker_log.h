// What the files of Broker share: the reading side of a replica's log, and completions of the store that come
// to the process that asked.
#pragma once

#include <algorithm>
#include <map>
#include <utility>

#include "tests/sim/broker.h"

namespace naru::sim {

class Broker::View final : public cluster::LogView {
 public:
  View(const MemoryLogStore& store, LogId log, std::map<LogId, EpochEnd>& left_over)
      : store_(store), log_(log), left_over_(left_over), durable_start_(Info().log_start) {}
  cluster::LogPositions Positions() const override {
    const LogInfo info = Info();
    return {info.log_start, info.end, info.durable_end, std::min(durable_start_, info.log_start)};
  }
  void StartIsDurable(Offset start) { durable_start_ = std::max(durable_start_, start); }
  EpochEnd EndOffsetForEpoch(LeaderEpoch epoch) const override {
    const EpochEnd found =
        store_.EndOffsetForEpoch(log_, epoch).value_or(EpochEnd{LeaderEpoch(-1), Offset(0)});
    const auto left = left_over_.find(log_);
    if (left == left_over_.end() || left->second.end != Info().end) return found;
    const EpochEnd& last = left->second;
    return last.epoch <= epoch && last.epoch > found.epoch ? last : found;
  }
  // As if the store had not forgotten the epoch of which it has just cut off everything: for as long as the
  // log ends there, also in the processes to come.
  void LeaveEpoch(LeaderEpoch epoch) { left_over_[log_] = {epoch, Info().end}; }
  std::vector<ProducerState> Producers() const override {
    return store_.Producers(log_).value_or(std::vector<ProducerState>{});
  }

 private:
  // A log that was deleted is empty.
  LogInfo Info() const { return store_.Info(log_).value_or(LogInfo{}); }

  const MemoryLogStore& store_;
  const LogId log_;
  std::map<LogId, EpochEnd>& left_over_;
  Offset durable_start_;
};

// Completions of the store come to the process that asked, or to nobody.
template <typename Callback>
auto Broker::InThisLife(Callback callback) {
  return [this, life = process().life(), callback = std::move(callback)](auto result) mutable {
    if (process().up() && process().life() == life) callback(std::move(result));
  };
}

}  // namespace naru::sim
