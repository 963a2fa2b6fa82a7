// Producers that never give up: they write unique values in order, note what became of each, and go on when
// the hub comes back. Nothing is sent twice, so each value may stand in the log at most once.
#pragma once

#include <atomic>
#include <string>

#include "tests/integration/crash/history.h"
#include "tests/integration/crash/hub_address.h"

namespace naru::crash {

struct ProducerTask {
  const HubAddress& hub;
  History& history;
  const std::atomic<bool>& stop;
  std::string topic;
  int32_t partition_count = 1;
  // From 1; its values and its randomness follow from it.
  int number = 1;
  // Batches begun in a second, at most.
  int batches_per_second = 100;
};

// Many batches on the way over ProduceStream, to any partition. Returns when told to stop and all is
// answered.
void RunStreamProducer(const ProducerTask& task);
// One Produce call after the other; partitions by number or by the records' keys in turn.
void RunUnaryProducer(const ProducerTask& task);

}  // namespace naru::crash
