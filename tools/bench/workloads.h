// The workloads of the command line and of the suite: each makes its topic, runs one load, and deletes the
// topic again. Names follow the OpenMessaging Benchmark: 1-topic-16-partitions-1kb.
#pragma once

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "tools/bench/bench_hub.h"
#include "tools/bench/produce_load.h"
#include "tools/bench/read_load.h"
#include "tools/bench/report.h"

namespace naru::bench {

struct RunTime {
  double warmup_seconds = 1;
  double seconds = 3;
};

struct ProduceWorkload {
  TopicShape topic;
  // Without topic and partitions.
  ProduceLoad load;
  int connections = 2;
  // Of MeasureEndToEnd: each reads everything, over a connection of its own.
  int readers = 1;
};

// "1-topic-16-partitions-1kb", then "-64kb-batches", "-fsync", "-unary" and the like where they tell
// workloads apart.
std::string NameOf(const ProduceWorkload& workload);

absl::StatusOr<Figure> MeasureProduce(BenchHub& hub, const ProduceWorkload& workload, const RunTime& time);

// As MeasureProduce with a rate; gives the acks' latency and that of the records' arrival at the readers, of
// all of them together.
struct EndToEnd {
  Figure ack;
  Figure arrival;
};
absl::StatusOr<EndToEnd> MeasureEndToEnd(BenchHub& hub, const ProduceWorkload& workload, const RunTime& time);

struct ReadWorkload {
  int partitions = 16;
  int64_t record_bytes = 1024;
  // Written before the clock runs.
  int64_t total_bytes = int64_t{256} << 20;
  // From disk: the hub is started anew and the page cache dropped.
  bool cold = false;
  // A Subscribe stream for each connection, instead of Fetch calls.
  bool subscribe = false;
  bool stored_batches = false;
  bool decode = false;
  int depth = 4;
  int connections = 2;
};
std::string NameOf(const ReadWorkload& workload);

absl::StatusOr<Figure> MeasureRead(BenchHub& hub, const ReadWorkload& workload, const RunTime& time);

}  // namespace naru::bench
