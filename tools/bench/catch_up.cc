#include "tools/bench/catch_up.h"

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "storage/base/status.h"
#include "tools/bench/process_stats.h"

namespace naru::bench {
namespace {

constexpr int kDepth = 64;

ProduceLoad LoadOf(const CatchUpWorkload& workload, const std::string& topic) {
  ProduceLoad load;
  load.topic = topic;
  load.partitions = workload.partitions;
  load.shape = {workload.record_bytes, workload.batch_bytes};
  load.depth = kDepth;
  return load;
}

absl::Status Fill(BenchHub& hub, const CatchUpWorkload& workload, const std::string& topic) {
  ProduceLoad load = LoadOf(workload, topic);
  load.batches = std::max<int64_t>(1, workload.total_bytes / workload.batch_bytes / workload.partitions) *
                 workload.partitions;
  auto tally = RunProduce(load, Connect(hub.address(), 1), Window());
  if (!tally.ok()) return tally.status();
  if (tally->failures > 0) {
    return absl::UnavailableError(absl::StrCat("filling the topic: ", tally->first_failure));
  }
  return absl::OkStatus();
}

absl::StatusOr<Figure> Produce(BenchHub& hub, const CatchUpWorkload& workload, const std::string& topic,
                               const std::string& name, const Window& window) {
  ProduceLoad load = LoadOf(workload, topic);
  load.rate = workload.records_per_second /
              static_cast<double>(std::max<int64_t>(1, workload.batch_bytes / workload.record_bytes));
  const CpuMeter meter(hub.pid(), hub.data_folder());
  auto tally = RunProduce(load, Connect(hub.address(), 2), window);
  if (!tally.ok()) return tally.status();
  Figure figure = ToFigure(name, *tally, window.seconds());
  meter.Apply(figure);
  return figure;
}

// From one partition after the other, until `stop` or the last one's end.
struct Reading {
  Tally tally;
  double seconds = 0;
  int partitions = 0;
};
Reading Read(const std::string& address, const std::string& topic, const std::vector<int64_t>& ends,
             const std::atomic<bool>& stop) {
  const Channels channels = Connect(address, 1);
  Reading reading;
  ReadLoad load;
  load.topic = topic;
  for (size_t i = 0; i < ends.size() && !stop.load(std::memory_order_relaxed); ++i) {
    load.first_partition = static_cast<int>(i);
    double seconds = 0;
    auto tally = RunSubscribe(load, ends[i], channels, &seconds);
    if (!tally.ok()) {
      reading.tally.Fail(tally.status().ToString());
      break;
    }
    reading.tally.Merge(*tally);
    reading.seconds += seconds;
    ++reading.partitions;
  }
  return reading;
}

// For what filling the topic left to the disk.
constexpr double kSettleSecondsMax = 60;

}  // namespace

absl::StatusOr<std::vector<Figure>> MeasureCatchUp(BenchHub& hub, const CatchUpWorkload& workload,
                                                   const RunTime& time) {
  NARU_ASSIGN_OR_RETURN(const std::string topic, hub.CreateTopic({workload.partitions, /*fsync=*/true}));
  auto remove = absl::MakeCleanup([&] { (void)hub.DeleteTopic(topic); });
  NARU_RETURN_IF_ERROR(Fill(hub, workload, topic));
  NARU_ASSIGN_OR_RETURN(const std::vector<int64_t> ends, hub.Ends(topic));
  NARU_RETURN_IF_ERROR(hub.Restart());
  NARU_RETURN_IF_ERROR(hub.DropPageCache());
  WaitForQuietDisk(hub.data_folder(), kSettleSecondsMax);

  const std::string name = absl::StrCat("catch-up-", workload.partitions, "-partitions");
  std::vector<Figure> figures;
  NARU_ASSIGN_OR_RETURN(Figure before, Produce(hub, workload, topic, absl::StrCat(name, "-producers-before"),
                                               Window::FromNow(time.warmup_seconds, time.seconds)));
  figures.push_back(std::move(before));

  std::atomic<bool> stop = false;
  Reading reading;
  std::thread reader([&] { reading = Read(hub.address(), topic, ends, stop); });
  auto meanwhile = Produce(hub, workload, topic, absl::StrCat(name, "-producers-meanwhile"),
                           Window::FromNow(0, time.seconds));
  stop.store(true, std::memory_order_relaxed);
  reader.join();
  if (!meanwhile.ok()) return meanwhile.status();
  figures.push_back(*std::move(meanwhile));
  figures.push_back(ToFigure(absl::StrCat(name, "-read-", reading.partitions), reading.tally,
                             std::max(reading.seconds, 1e-9)));
  return figures;
}

}  // namespace naru::bench
