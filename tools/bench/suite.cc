#include "tools/bench/suite.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/base/status.h"
#include "storage/base/units.h"
#include "tools/bench/disk_probe.h"

namespace naru::bench {
namespace {

constexpr int kLeader = 2;
constexpr int kAll = 3;

// Every figure measured, shown as it comes.
class Sheet {
 public:
  explicit Sheet(std::FILE* out) : out_(out) {}
  void Section(const char* title) {
    std::fprintf(out_, "\n%s\n%s\n", title, TableHead().c_str());
    std::fflush(out_);
  }
  absl::Status Add(absl::StatusOr<Figure> figure) {
    if (!figure.ok()) return figure.status();
    std::fprintf(out_, "%s\n", TableLine(*figure).c_str());
    std::fflush(out_);
    figures_.push_back(*std::move(figure));
    return absl::OkStatus();
  }
  const Figure& last() const { return figures_.back(); }
  std::vector<Figure> Take() { return std::move(figures_); }

 private:
  std::FILE* const out_;
  std::vector<Figure> figures_;
};

class SuiteRun {
 public:
  SuiteRun(BenchHub& hub, std::string folder, const RunTime& time, std::FILE* out)
      : hub_(hub), folder_(std::move(folder)), time_(time), sheet_(out) {}

  absl::Status Limits();
  absl::Status Throughput();
  absl::Status Reading();
  absl::Status Latency();
  std::vector<Figure> Take() { return sheet_.Take(); }

 private:
  absl::Status Limit(const std::string& name, absl::StatusOr<Figure> figure);
  absl::Status Produce(const ProduceWorkload& workload, const std::vector<std::string>& limits);

  BenchHub& hub_;
  const std::string folder_;
  const RunTime time_;
  Sheet sheet_;
  // Bytes per second by name.
  std::map<std::string, double> limits_;
};

// The figure's share of each of these limits.
void Relate(Figure& figure, const std::map<std::string, double>& limits,
            const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const auto found = limits.find(name);
    if (found == limits.end() || found->second <= 0) continue;
    figure.shares.emplace_back(name, figure.bytes_per_second / found->second);
  }
  std::sort(figure.shares.begin(), figure.shares.end(),
            [](const auto& a, const auto& b) { return a.second > b.second; });
}

ProduceWorkload Cell(int partitions, int64_t record_bytes, int64_t batch_bytes, int acks, bool fsync,
                     int depth) {
  ProduceWorkload workload;
  workload.topic = {partitions, fsync};
  workload.load.shape = {record_bytes, batch_bytes};
  workload.load.acks = acks;
  workload.load.depth = depth;
  return workload;
}

absl::Status SuiteRun::Limit(const std::string& name, absl::StatusOr<Figure> figure) {
  if (!figure.ok()) return figure.status();
  figure->workload = name;
  limits_[name] = figure->bytes_per_second;
  return sheet_.Add(std::move(figure));
}

absl::Status SuiteRun::Limits() {
  sheet_.Section("This machine: appends to a preallocated file, and a gRPC server that stores nothing");
  NARU_RETURN_IF_ERROR(Limit("append 64k", MeasureAppend(folder_, 64 * kKiB, 0, time_)));
  NARU_RETURN_IF_ERROR(Limit("append 1m", MeasureAppend(folder_, kMiB, 0, time_)));
  NARU_RETURN_IF_ERROR(Limit("append 64k, fdatasync each", MeasureAppend(folder_, 64 * kKiB, 1, time_)));
  NARU_RETURN_IF_ERROR(Limit("append 64k, fdatasync every 32", MeasureAppend(folder_, 64 * kKiB, 32, time_)));
  NARU_RETURN_IF_ERROR(Limit("append 1m, fdatasync every 8", MeasureAppend(folder_, kMiB, 8, time_)));
  NARU_RETURN_IF_ERROR(Limit("append 1k, fdatasync each", MeasureAppend(folder_, kKiB, 1, time_)));
  auto echo = EchoProcess::Start();
  if (!echo.ok()) return echo.status();
  NARU_RETURN_IF_ERROR(Limit("grpc echo 64k", MeasureEcho(**echo, {1024, 64 * kKiB}, 64, time_)));
  NARU_RETURN_IF_ERROR(Limit("grpc echo 1m", MeasureEcho(**echo, {1024, kMiB}, 16, time_)));
  NARU_RETURN_IF_ERROR(Limit("grpc echo 1k, one in flight", MeasureEcho(**echo, {1024, 1024}, 1, time_)));
  NARU_RETURN_IF_ERROR(Limit("grpc fetch echo 1m", MeasureFetchEcho(**echo, time_)));
  return absl::OkStatus();
}

absl::Status SuiteRun::Produce(const ProduceWorkload& workload, const std::vector<std::string>& limits) {
  auto figure = MeasureProduce(hub_, workload, time_);
  if (figure.ok()) Relate(*figure, limits_, limits);
  return sheet_.Add(std::move(figure));
}

absl::Status SuiteRun::Throughput() {
  sheet_.Section(
      "Producing, closed loop; \"limit\" is the share of the lowest figure above that applies, all are below "
      "it");
  const std::vector<std::string> plain = {"append 64k", "grpc echo 64k"};
  const std::vector<std::string> large = {"append 1m", "grpc echo 1m"};
  const std::vector<std::string> synced = {"append 64k, fdatasync every 32", "append 64k", "grpc echo 64k"};
  const std::vector<std::string> large_synced = {"append 1m, fdatasync every 8", "append 1m", "grpc echo 1m"};
  NARU_RETURN_IF_ERROR(Produce(Cell(6, 100, 64 * kKiB, kLeader, false, 64), plain));
  NARU_RETURN_IF_ERROR(Produce(Cell(16, 1024, 64 * kKiB, kLeader, false, 64), plain));
  NARU_RETURN_IF_ERROR(Produce(Cell(16, 1024, kMiB, kLeader, false, 16), large));
  NARU_RETURN_IF_ERROR(Produce(Cell(16, 1024, 64 * kKiB, kAll, true, 64), synced));
  NARU_RETURN_IF_ERROR(Produce(Cell(16, 1024, kMiB, kAll, true, 16), large_synced));
  NARU_RETURN_IF_ERROR(Produce(Cell(1000, 1024, 64 * kKiB, kAll, true, 64), synced));
  NARU_RETURN_IF_ERROR(Produce(Cell(1, 1'000'000, 1'000'000, kLeader, false, 16), large));
  NARU_RETURN_IF_ERROR(Produce(Cell(1, 1'000'000, 1'000'000, kAll, true, 16), large_synced));
  NARU_RETURN_IF_ERROR(Produce(Cell(1, 1024, 1024, kAll, true, 1),
                               {"append 1k, fdatasync each", "grpc echo 1k, one in flight"}));
  return absl::OkStatus();
}

absl::Status SuiteRun::Reading() {
  sheet_.Section("Reading back 256 MiB");
  ReadWorkload read;
  for (const bool stored : {false, true}) {
    for (const bool subscribe : {false, true}) {
      read.stored_batches = stored;
      read.subscribe = subscribe;
      read.connections = subscribe ? 1 : 2;
      auto figure = MeasureRead(hub_, read, time_);
      if (figure.ok()) Relate(*figure, limits_, {"grpc fetch echo 1m"});
      NARU_RETURN_IF_ERROR(sheet_.Add(std::move(figure)));
    }
  }
  if (hub_.data_folder().empty()) return absl::OkStatus();
  read = {};
  read.cold = true;
  read.connections = 1;
  return sheet_.Add(MeasureRead(hub_, read, time_));
}

absl::Status SuiteRun::Latency() {
  sheet_.Section("Latency from the intended send time, open loop, fsync before each ack");
  // Single records first; then batches of 64 KiB at shares of what a closed loop reaches.
  ProduceWorkload single = Cell(6, 1024, 1024, kAll, true, 64);
  single.load.rate = 5000;
  std::vector<ProduceWorkload> workloads = {single};
  const ProduceWorkload batches = Cell(16, 1024, 64 * kKiB, kAll, true, 64);
  auto peak = MeasureProduce(hub_, batches, time_);
  if (!peak.ok()) return peak.status();
  for (const double share : {0.1, 0.5, 0.8}) {
    ProduceWorkload at = batches;
    at.load.rate = std::max(1.0, share * peak->bytes_per_second / static_cast<double>(64 * kKiB));
    workloads.push_back(at);
    if (share != 0.5) continue;
    at.readers = 5;
    workloads.push_back(at);
  }
  for (const ProduceWorkload& workload : workloads) {
    auto figures = MeasureEndToEnd(hub_, workload, time_);
    if (!figures.ok()) return figures.status();
    NARU_RETURN_IF_ERROR(sheet_.Add(std::move(figures->ack)));
    NARU_RETURN_IF_ERROR(sheet_.Add(std::move(figures->arrival)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<EchoProcess>> EchoProcess::Start() {
  std::unique_ptr<EchoProcess> echo(new EchoProcess);
  const std::string path =
      (std::filesystem::temp_directory_path() / absl::StrCat("naru-bench-echo.", getpid())).string();
  std::filesystem::remove(path);
  auto child = ChildProcess::Start({OwnFolder() + "/naru-bench", "echo-server", "--port-file", path});
  if (!child.ok()) return child.status();
  echo->child_ = *std::move(child);
  while (echo->address_.empty()) {
    if (!echo->child_->Running()) return absl::UnavailableError("the echo server ended instead of starting");
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::getline(std::ifstream(path), echo->address_);
  }
  std::filesystem::remove(path);
  return echo;
}

absl::StatusOr<Figure> MeasureEcho(const EchoProcess& echo, const BatchShape& shape, int depth,
                                   const RunTime& time) {
  ProduceLoad load;
  load.idempotent = false;
  load.topic = "echo";
  load.shape = shape;
  load.depth = depth;
  const CpuMeter meter(echo.pid());
  auto tally = RunProduce(load, Connect(echo.address(), std::min(2, depth)),
                          Window::FromNow(time.warmup_seconds, time.seconds));
  if (!tally.ok()) return tally.status();
  Figure figure = ToFigure("grpc echo", *tally, time.seconds);
  meter.Apply(figure);
  return figure;
}

absl::StatusOr<Figure> MeasureFetchEcho(const EchoProcess& echo, const RunTime& time) {
  ReadLoad load;
  load.topic = "echo";
  load.partitions = 4;
  const CpuMeter meter(echo.pid());
  auto tally = RunFetch(load, Connect(echo.address(), 2), Window::FromNow(time.warmup_seconds, time.seconds));
  if (!tally.ok()) return tally.status();
  Figure figure = ToFigure("grpc fetch echo 1m", *tally, time.seconds);
  meter.Apply(figure);
  return figure;
}

absl::StatusOr<Figure> MeasureAppend(const std::string& folder, int64_t piece_bytes, int64_t sync_every,
                                     const RunTime& time) {
  const CpuMeter meter(0);
  auto result = ProbeAppend(folder, {piece_bytes, sync_every, time.seconds});
  if (!result.ok()) return result.status();
  Figure figure;
  figure.workload = absl::StrCat("append ", piece_bytes >> 10, "k");
  if (sync_every) absl::StrAppend(&figure.workload, ", fdatasync every ", sync_every);
  figure.seconds = result->seconds;
  figure.records_per_second = result->pieces_per_second;
  figure.bytes_per_second = result->bytes_per_second;
  figure.latency = result->sync;
  figure.latency_of = "fdatasync";
  // Threads that keep the processors awake are not what the appends cost.
  if (!sync_every) meter.Apply(figure);
  return figure;
}

absl::StatusOr<std::vector<Figure>> RunSuite(BenchHub& hub, const std::string& folder, const RunTime& time,
                                             std::FILE* out) {
  SuiteRun run(hub, folder, time, out);
  NARU_RETURN_IF_ERROR(run.Limits());
  NARU_RETURN_IF_ERROR(run.Throughput());
  NARU_RETURN_IF_ERROR(run.Reading());
  NARU_RETURN_IF_ERROR(run.Latency());
  return run.Take();
}

}  // namespace naru::bench
