// Writes batches, as fast as a number of them on the way allows (closed loop) or at a rate (open loop).
//
// A batch's latency counts from when it was meant to be sent: in a closed loop when its place became free, in
// an open loop when its turn had come by the rate, however late it was really sent (no coordinated omission).
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "tools/bench/batch_pool.h"
#include "tools/bench/load.h"

namespace naru::bench {

struct ProduceLoad {
  std::string topic;
  int partitions = 1;
  BatchShape shape;
  int acks = 3;
  // Batches on the way over all channels. Open loop: a bound beyond which the run counts as overloaded.
  int depth = 32;
  // Batches a second; 0: closed loop.
  double rate = 0;
  // Closed loop: end after so many batches on each channel, whatever the window says; 0: at the window's end.
  int64_t batches = 0;
  // One Produce call for each batch instead of a ProduceStream for each channel.
  bool unary = false;
  // Each stream stamps its batches, as an idempotent producer. Not with unary: calls overtake each other. Not
  // with acks 0 either.
  bool idempotent = true;
  // Every value begins with its intended send time, for readers to measure with. Not with unary.
  bool stamped = false;
};

// Runs until the window's end and until all is answered. Fails when the load cannot be made at all; what the
// hub refuses is counted.
absl::StatusOr<Tally> RunProduce(const ProduceLoad& load, const Channels& channels, const Window& window);

}  // namespace naru::bench
