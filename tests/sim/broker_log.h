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
    return store_.EndOffsetForEpoch(log_, epoch).value_or(EpochEnd{LeaderEpoch(-1), Offset(0)});
  }
  std::vector<ProducerState> Producers() const override {
    return store_.Producers(log_).value_or(std::vector<ProducerState>{});
  }

 private:
  // A log that was deleted is empty.
  LogInfo Info() const { return store_.Info(log_).value_or(LogInfo{}); }

  const MemoryLogStore& store_;
  const LogId log_;
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
