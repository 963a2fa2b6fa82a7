// A workload of compaction by key: many updates of few keys, as fast as they go, and then the time until only
// each key's newest record is left. The same updates to a topic that is not compacted come first, to compare.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "tools/bench/bench_hub.h"
#include "tools/bench/histogram.h"

namespace naru::bench {

struct CompactionWorkload {
  int64_t updates = 5'000'000;
  // At most kKeysMax.
  int64_t keys = 50'000;
  int64_t record_bytes = 100;
  int64_t batch_bytes = 64 << 10;
  int depth = 16;
  int connections = 2;

  // The batches are made before the clock runs, and sent again and again: four records of memory for every
  // key.
  static constexpr int64_t kKeysMax = 5'000'000;
};

// Of writing everything once.
struct UpdatesFigures {
  double seconds = 0;
  double mb_per_second = 0;
  double hub_cores = 0;
  double p50_ms = 0;
  double p99_ms = 0;
  double p999_ms = 0;
  double max_ms = 0;
};

struct CompactionFigures {
  int64_t updates = 0;
  int64_t keys = 0;  // at most
  UpdatesFigures plain;
  UpdatesFigures compacted;
  // After the last update, until what is superseded is gone.
  double settle_seconds = 0;
  double settle_cpu_seconds = 0;
  // What the data take of the disk; 0 when the hub runs elsewhere.
  double disk_before_mb = 0;
  double disk_written_mb = 0;  // when the last update was acknowledged
  double disk_left_mb = 0;     // when it gets no less
  int64_t records_left = 0;
};

absl::StatusOr<CompactionFigures> MeasureCompaction(BenchHub& hub, const CompactionWorkload& workload);

std::string ToText(const CompactionFigures& figures);
// {"compaction": {...}}.
std::string ToJson(const CompactionFigures& figures);

}  // namespace naru::bench
