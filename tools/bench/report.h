// Figures as a table for people and as JSON for programs.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tools/bench/load.h"
#include "tools/bench/process_stats.h"

namespace naru::bench {

// One workload's figures. Fields that were not measured are negative.
struct Figure {
  std::string workload;
  double seconds = 0;
  double records_per_second = -1;
  double bytes_per_second = -1;  // of values
  // Latencies, in nanoseconds, by what `latency_of` says.
  Histogram latency;
  std::string latency_of;
  double client_cores = -1;
  double server_cores = -1;
  double server_resident_mb = -1;
  // Sent to the disk, by whomever, for each byte of values.
  double written_per_byte = -1;
  // bytes_per_second as a share of what the machine did alone in the same run, by what that was; the greatest
  // share, that of the limit which comes first, in front.
  std::vector<std::pair<std::string, double>> shares;
  int64_t failures = 0;
  std::string first_failure;
};

// The CPU time of both sides around a run: construct before, Apply after.
class CpuMeter {
 public:
  // `data_folder`: on the disk whose writes are counted; empty: none are.
  explicit CpuMeter(pid_t server, std::string data_folder = "");
  void Apply(Figure& figure) const;

 private:
  const pid_t server_;
  const std::string data_folder_;
  const std::optional<int64_t> disk_;
  const int64_t begin_ns_;
  const ProcessStats client_;
  const ProcessStats hub_;
};

Figure ToFigure(std::string workload, const Tally& tally, double seconds);

// One line a figure, latencies in milliseconds, at most 120 columns; then one with all shares, where there
// are any.
std::string TableHead();
std::string TableLine(const Figure& figure);
// {"figures": [...]}, with percentiles from 50 to 99.99 and the maximum.
std::string ToJson(const std::vector<Figure>& figures);

}  // namespace naru::bench
