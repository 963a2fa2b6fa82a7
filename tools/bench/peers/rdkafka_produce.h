// Writes to Kafka with librdkafka, as naru-bench writes to naru: runs of records, each meant to be one batch
// of one partition, so many of them on the way; or single records at a rate.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "tools/bench/batch_pool.h"
#include "tools/bench/load.h"

namespace naru::bench {

struct RdKafkaProduceLoad {
  std::string server;
  std::string topic;
  int partitions = 16;
  BatchShape shape;
  // 1: the leader; -1: all in-sync replicas, which with one broker is the same.
  int acks = 1;
  // Closed loop: runs on the way.
  int depth = 64;
  double linger_ms = 5;
  // Single records a second, each beginning with its intended send time (BatchPool::StampOf); 0: closed loop.
  double rate = 0;
  // Closed loop: end after so many runs, whatever the window says; 0: at the window's end.
  int64_t runs = 0;
};

// Runs until the window's end and until all is answered. One latency for each run, from when its place became
// free, or for each record, from its intended send time.
absl::StatusOr<Tally> RunRdKafkaProduce(const RdKafkaProduceLoad& load, const Window& window);

}  // namespace naru::bench
