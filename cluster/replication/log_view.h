// What replication needs to know of one log.
#pragma once

#include <cstdint>
#include <vector>

#include "storage/base/ids.h"
#include "storage/log/log_store.h"

namespace naru::cluster {

// Where a log is. durable start ≤ start ≤ durable end ≤ end.
struct LogPositions {
  Offset start;
  Offset end;            // everything handed to the store included
  Offset durable_end;    // what it vouches for: on stable storage, or written for Durability::kBackground
  Offset durable_start;  // what is below does not come back
};

// The reading side of one log, as it is now.
class LogView {
 public:
  virtual ~LogView() = default;
  virtual LogPositions Positions() const = 0;
  // As LogStore::EndOffsetForEpoch.
  virtual EpochEnd EndOffsetForEpoch(LeaderEpoch epoch) const = 0;
  // As LogStore::Producers, of an end that is not below a start seen before.
  virtual std::vector<ProducerState> Producers() const = 0;

  // Of the last batch; -1: there was none.
  LeaderEpoch LastEpoch() const { return EndOffsetForEpoch(LeaderEpoch(INT32_MAX)).epoch; }
};

}  // namespace naru::cluster
