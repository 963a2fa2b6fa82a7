#include "tools/bench/compaction_load.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "naru/v1/admin.grpc.pb.h"
#include "naru/v1/consume.grpc.pb.h"
#include "tools/bench/process_stats.h"
#include "tools/bench/produce_load.h"

namespace naru::bench {
namespace {

constexpr double kPatienceSeconds = 1'800;
// The topic has no more than this beside its newest records, or a share of that more.
constexpr int64_t kSettledBytes = int64_t{2} << 20;
constexpr double kSettledShare = 1.2;
// The disk does not change for so long.
constexpr double kQuietSeconds = 4;

void PauseBetweenLooks() { std::this_thread::sleep_for(std::chrono::milliseconds(100)); }

double SecondsSince(int64_t begin_ns) { return static_cast<double>(NowNs() - begin_ns) / 1e9; }

double CpuSeconds(const BenchHub& hub) {
  const auto stats = ReadProcessStats(hub.pid());
  return stats.ok() ? stats->cpu_seconds() : 0;
}

// What the files under `folder` take of the disk.
double DiskMb(const std::string& folder) {
  int64_t bytes = 0;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder, ignored)) {
    struct stat status;
    // Files come and go meanwhile.
    if (::stat(entry.path().c_str(), &status) == 0) bytes += int64_t{status.st_blocks} * 512;
  }
  return static_cast<double>(bytes) / 1e6;
}

absl::StatusOr<UpdatesFigures> Write(BenchHub& hub, const CompactionWorkload& workload,
                                     const std::string& topic) {
  ProduceLoad load;
  load.topic = topic;
  load.shape = {workload.record_bytes, workload.batch_bytes, Codec::kNone, workload.keys};
  load.depth = workload.depth;
  const int64_t per_batch = std::max<int64_t>(1, workload.batch_bytes / workload.record_bytes);
  load.batches = std::max<int64_t>(1, workload.updates / per_batch / workload.connections);
  const double cpu_before = CpuSeconds(hub);
  const int64_t begin_ns = NowNs();
  const auto tally = RunProduce(load, Connect(hub.address(), workload.connections), Window{0, INT64_MAX});
  if (!tally.ok()) return tally.status();
  if (tally->failures > 0) return absl::UnavailableError(absl::StrCat("updates: ", tally->first_failure));
  UpdatesFigures figures;
  figures.seconds = SecondsSince(begin_ns);
  figures.mb_per_second = static_cast<double>(tally->payload_bytes) / 1e6 / figures.seconds;
  figures.hub_cores = (CpuSeconds(hub) - cpu_before) / figures.seconds;
  const auto ms = [&](double percent) {
    return static_cast<double>(tally->latency.Percentile(percent)) / 1e6;
  };
  figures.p50_ms = ms(50);
  figures.p99_ms = ms(99);
  figures.p999_ms = ms(99.9);
  figures.max_ms = ms(100);
  return figures;
}

class TopicReader {
 public:
  TopicReader(const std::string& address, std::string topic)
      : channel_(Connect(address, 1)[0]),
        admin_(naru::v1::AdminService::NewStub(channel_)),
        consume_(naru::v1::ConsumeService::NewStub(channel_)),
        topic_(std::move(topic)) {}

  absl::StatusOr<int64_t> SizeBytes() {
    naru::v1::GetTopicRequest request;
    request.set_name(topic_);
    request.add_partitions(0);
    naru::v1::GetTopicResponse response;
    grpc::ClientContext context;
    const grpc::Status status = admin_->GetTopic(&context, request, &response);
    if (!status.ok()) return absl::UnavailableError(absl::StrCat("get topic: ", status.error_message()));
    return response.topic().partitions(0).size_bytes();
  }
  // Records that are there. Reads everything.
  absl::StatusOr<int64_t> Count() {
    int64_t records = 0;
    for (int64_t at = 0;;) {
      naru::v1::FetchRequest request;
      request.set_topic(topic_);
      request.set_offset(at);
      naru::v1::FetchResponse response;
      grpc::ClientContext context;
      const grpc::Status status = consume_->Fetch(&context, request, &response);
      if (!status.ok()) return absl::UnavailableError(absl::StrCat("fetch: ", status.error_message()));
      records += response.records_size();
      at = response.next_offset();
      if (at >= response.high_watermark()) return records;
    }
  }

 private:
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<naru::v1::AdminService::Stub> admin_;
  const std::unique_ptr<naru::v1::ConsumeService::Stub> consume_;
  const std::string topic_;
};

// Until the disk gets no smaller; as it is then.
double QuietDiskMb(const BenchHub& hub) {
  if (hub.data_folder().empty()) return 0;
  double least_mb = DiskMb(hub.data_folder());
  for (int64_t since_ns = NowNs(); SecondsSince(since_ns) < kQuietSeconds; PauseBetweenLooks()) {
    const double disk_mb = DiskMb(hub.data_folder());
    if (disk_mb < least_mb) since_ns = NowNs();
    least_mb = std::min(least_mb, disk_mb);
  }
  return least_mb;
}

// Until the topic has little but its newest records.
absl::Status Settle(const BenchHub& hub, TopicReader& reader, int64_t newest_bytes,
                    CompactionFigures& figures) {
  const int64_t begin_ns = NowNs();
  const double cpu_before = CpuSeconds(hub);
  const auto enough = static_cast<int64_t>(static_cast<double>(newest_bytes) * kSettledShare) + kSettledBytes;
  for (;; PauseBetweenLooks()) {
    const auto size = reader.SizeBytes();
    if (!size.ok()) return size.status();
    if (*size <= enough) break;
    if (SecondsSince(begin_ns) > kPatienceSeconds) {
      return absl::DeadlineExceededError(absl::StrFormat("not compacted within %.0f s", kPatienceSeconds));
    }
  }
  figures.settle_seconds = SecondsSince(begin_ns);
  figures.settle_cpu_seconds = CpuSeconds(hub) - cpu_before;
  figures.disk_left_mb = QuietDiskMb(hub);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CompactionFigures> MeasureCompaction(BenchHub& hub, const CompactionWorkload& workload) {
  CompactionFigures figures;
  const auto plain = hub.CreateTopic({});
  if (!plain.ok()) return plain.status();
  const auto without = Write(hub, workload, *plain);
  (void)hub.DeleteTopic(*plain);
  if (!without.ok()) return without.status();
  figures.plain = *without;
  const double before_mb = QuietDiskMb(hub);

  const auto topic = hub.CreateTopic({.compacted = true});
  if (!topic.ok()) return topic.status();
  const auto remove = absl::MakeCleanup([&] { (void)hub.DeleteTopic(*topic); });
  const auto with = Write(hub, workload, *topic);
  if (!with.ok()) return with.status();
  figures.compacted = *with;
  if (!hub.data_folder().empty()) figures.disk_written_mb = DiskMb(hub.data_folder());
  figures.disk_before_mb = before_mb;
  const auto ends = hub.Ends(*topic);
  if (!ends.ok()) return ends.status();
  figures.updates = ends->front();
  figures.keys = std::min(workload.keys, figures.updates);

  const int64_t newest_bytes = figures.keys * (workload.record_bytes + 16);
  {
    TopicReader reader(hub.address(), *topic);
    if (absl::Status settled = Settle(hub, reader, newest_bytes, figures); !settled.ok()) return settled;
  }
  // Out of memory a hub goes on delivering what it was sent.
  if (!hub.data_folder().empty()) {
    if (absl::Status restarted = hub.Restart(); !restarted.ok()) return restarted;
  }
  const auto left = TopicReader(hub.address(), *topic).Count();
  if (!left.ok()) return left.status();
  figures.records_left = *left;
  return figures;
}

std::string ToText(const CompactionFigures& f) {
  const auto line = [](std::string_view name, const UpdatesFigures& u) {
    return absl::StrFormat(
        "%-18s %8.2f s %9.1f MB/s   hub %5.2f cores   acks: p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms, max "
        "%.1f "
        "ms\n",
        std::string(name), u.seconds, u.mb_per_second, u.hub_cores, u.p50_ms, u.p99_ms, u.p999_ms, u.max_ms);
  };
  return absl::StrFormat("%d updates of up to %d keys\n", f.updates, f.keys) +
         line("not compacted", f.plain) + line("compacted", f.compacted) +
         absl::StrFormat("then until settled %8.2f s, hub's CPU %.2f s\n", f.settle_seconds,
                         f.settle_cpu_seconds) +
         absl::StrFormat("disk               %8.1f MB before, %.1f MB when all was written, %.1f MB left\n",
                         f.disk_before_mb, f.disk_written_mb, f.disk_left_mb) +
         absl::StrFormat("records left       %8d\n", f.records_left);
}

std::string ToJson(const CompactionFigures& f) {
  const auto updates = [](const UpdatesFigures& u) {
    return nlohmann::json{{"seconds", u.seconds},     {"mb_per_second", u.mb_per_second},
                          {"hub_cores", u.hub_cores}, {"p50_ms", u.p50_ms},
                          {"p99_ms", u.p99_ms},       {"p999_ms", u.p999_ms},
                          {"max_ms", u.max_ms}};
  };
  return nlohmann::json{{"compaction",
                         {{"updates", f.updates},
                          {"keys", f.keys},
                          {"not_compacted", updates(f.plain)},
                          {"compacted", updates(f.compacted)},
                          {"settle_seconds", f.settle_seconds},
                          {"settle_cpu_seconds", f.settle_cpu_seconds},
                          {"disk_before_mb", f.disk_before_mb},
                          {"disk_written_mb", f.disk_written_mb},
                          {"disk_left_mb", f.disk_left_mb},
                          {"records_left", f.records_left}}}}
      .dump(2);
}

}  // namespace naru::bench
