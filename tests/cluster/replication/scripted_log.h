// A log that is where a test says it is. For tests.
#pragma once

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "cluster/replication/log_view.h"

namespace naru::cluster {

class ScriptedLog final : public LogView {
 public:
  // Epochs by their first offset, rising; the log is durable up to its end.
  ScriptedLog(std::map<int32_t, int64_t> epochs, int64_t end) : epochs_(std::move(epochs)) { MoveTo(end); }

  void MoveTo(int64_t end) { at_.end = at_.durable_end = Offset(end); }
  void SetDurable(int64_t durable_end) { at_.durable_end = Offset(durable_end); }
  void SetStart(int64_t start) { at_.start = at_.durable_start = Offset(start); }

  LogPositions Positions() const override { return at_; }
  EpochEnd EndOffsetForEpoch(LeaderEpoch epoch) const override {
    const auto above = epochs_.upper_bound(epoch.value());
    if (above == epochs_.begin()) return {LeaderEpoch(-1), at_.start};
    return {LeaderEpoch(std::prev(above)->first), above == epochs_.end() ? at_.end : Offset(above->second)};
  }
  void SetProducers(std::vector<ProducerState> producers) { producers_ = std::move(producers); }
  std::vector<ProducerState> Producers() const override { return producers_; }

 private:
  std::map<int32_t, int64_t> epochs_;
  LogPositions at_;
  std::vector<ProducerState> producers_;
};

}  // namespace naru::cluster
