// Readers that note everything they were told.
#pragma once

#include <atomic>
#include <string>

#include "tests/integration/crash/history.h"
#include "tests/integration/crash/hub_address.h"

namespace naru::crash {

struct ReaderTask {
  const HubAddress& hub;
  History& history;
  const std::atomic<bool>& stop;
  std::string topic;
  int32_t partition_count = 1;
  std::string name;
};

// Long polls over all partitions in turn: mostly on from where it is, sometimes again from an older offset.
void RunFetchReader(const ReaderTask& task);
// All partitions from the beginning as one stream with credits; on where it was when the hub comes back.
void RunSubscribeReader(const ReaderTask& task);
// Reads everything once, from each log's start to its end. False: something could not be read.
bool Drain(const ReaderTask& task);

}  // namespace naru::crash
