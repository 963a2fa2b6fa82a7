#include "tools/bench/workloads.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "naru/v1/types.pb.h"
#include "storage/base/strings.h"
#include "storage/batch/compression.h"
#include "tools/bench/tail_reader.h"

namespace naru::bench {
namespace {

std::string Size(int64_t bytes) {
  if (bytes >= 1'000'000) return absl::StrCat(bytes / 1'000'000, "mb");
  return bytes >= 1000 ? absl::StrCat(bytes / 1000, "kb") : absl::StrCat(bytes, "b");
}

std::string TopicName(int partitions, int64_t record_bytes) {
  return absl::StrCat("1-topic-", partitions, partitions == 1 ? "-partition-" : "-partitions-",
                      Size(record_bytes));
}

// The same number of 1 MiB batches for each partition.
absl::Status Fill(BenchHub& hub, const std::string& topic, const ReadWorkload& workload) {
  ProduceLoad load;
  load.topic = topic;
  load.partitions = workload.partitions;
  load.shape = {workload.record_bytes, 1 << 20};
  load.acks = 2;
  load.depth = 8;
  const int64_t each =
      std::max<int64_t>(1, workload.total_bytes / load.shape.batch_bytes / workload.partitions);
  load.batches = each * workload.partitions;
  auto tally = RunProduce(load, Connect(hub.address(), 1), Window());
  if (!tally.ok()) return tally.status();
  if (tally->failures)
    return absl::UnavailableError(absl::StrCat("filling the topic: ", tally->first_failure));
  return absl::OkStatus();
}

absl::StatusOr<Figure> ReadAll(BenchHub& hub, const std::string& topic, const ReadWorkload& workload,
                               const RunTime& time) {
  const Channels channels = Connect(hub.address(), workload.connections);
  ReadLoad load;
  load.topic = topic;
  load.partitions = workload.partitions;
  load.depth = workload.depth;
  load.stored_batches = workload.stored_batches;
  load.decode = workload.decode;
  const CpuMeter meter(hub.pid(), hub.data_folder());
  double seconds = time.seconds;
  absl::StatusOr<Tally> tally;
  if (workload.subscribe || workload.cold) {
    // Cold data are cold once, so they are read once, from end to end.
    auto ends = hub.Ends(topic);
    if (!ends.ok()) return ends.status();
    tally = RunSubscribe(load, *std::min_element(ends->begin(), ends->end()), channels, &seconds);
  } else {
    tally = RunFetch(load, channels, Window::FromNow(time.warmup_seconds, time.seconds));
  }
  if (!tally.ok()) return tally.status();
  Figure figure = ToFigure(NameOf(workload), *tally, seconds);
  meter.Apply(figure);
  return figure;
}

}  // namespace

std::string NameOf(const ProduceWorkload& workload) {
  const ProduceLoad& load = workload.load;
  std::string name = TopicName(workload.topic.partitions, load.shape.record_bytes);
  if (load.shape.batch_bytes > load.shape.record_bytes)
    absl::StrAppend(&name, "-", load.shape.batch_bytes >> 10, "k");
  if (load.depth == 1) absl::StrAppend(&name, "-one");
  if (load.shape.codec != Codec::kNone) absl::StrAppend(&name, "-", CodecName(load.shape.codec));
  if (load.unary) absl::StrAppend(&name, "-unary");
  if (load.rate > 0) absl::StrAppend(&name, "-at-", static_cast<int64_t>(load.rate));
  if (workload.readers > 1) absl::StrAppend(&name, "-", workload.readers, "-readers");
  return absl::StrCat(name, workload.topic.fsync ? "-fsync" : "");
}

std::string NameOf(const ReadWorkload& workload) {
  return absl::StrCat(TopicName(workload.partitions, workload.record_bytes),
                      workload.cold ? "-cold" : "-warm",
                      workload.subscribe || workload.cold ? "-subscribe" : "-fetch",
                      workload.stored_batches ? "-stored" : "", workload.decode ? "-decoded" : "");
}

absl::StatusOr<Figure> MeasureProduce(BenchHub& hub, const ProduceWorkload& workload, const RunTime& time) {
  auto topic = hub.CreateTopic(workload.topic);
  if (!topic.ok()) return topic.status();
  auto remove = absl::MakeCleanup([&] { (void)hub.DeleteTopic(*topic); });
  ProduceLoad load = workload.load;
  load.topic = *topic;
  load.partitions = workload.topic.partitions;
  const Channels channels = Connect(hub.address(), std::min(workload.connections, load.depth));
  const CpuMeter meter(hub.pid(), hub.data_folder());
  auto tally = RunProduce(load, channels, Window::FromNow(time.warmup_seconds, time.seconds));
  if (!tally.ok()) return tally.status();
  Figure figure = ToFigure(NameOf(workload), *tally, time.seconds);
  meter.Apply(figure);
  return figure;
}

absl::StatusOr<EndToEnd> MeasureEndToEnd(BenchHub& hub, const ProduceWorkload& workload,
                                         const RunTime& time) {
  auto topic = hub.CreateTopic(workload.topic);
  if (!topic.ok()) return topic.status();
  auto remove = absl::MakeCleanup([&] { (void)hub.DeleteTopic(*topic); });
  ProduceLoad load = workload.load;
  load.topic = *topic;
  load.partitions = workload.topic.partitions;
  load.stamped = true;
  const Channels channels = Connect(hub.address(), workload.connections);
  const Window window = Window::FromNow(time.warmup_seconds, time.seconds);
  std::vector<std::unique_ptr<TailReader>> readers;  // the topic is new, so they begin at its end
  for (int i = 0; i < workload.readers; ++i) {
    readers.push_back(std::make_unique<TailReader>(*topic, Connect(hub.address(), 1)[0], window));
  }
  const CpuMeter meter(hub.pid(), hub.data_folder());
  auto tally = RunProduce(load, channels, window);
  if (!tally.ok()) return tally.status();
  EndToEnd result;
  result.ack = ToFigure(NameOf(workload), *tally, time.seconds);
  meter.Apply(result.ack);
  Tally arrived;
  for (const auto& reader : readers) arrived.Merge(reader->Finish());
  result.arrival = ToFigure(absl::StrCat(NameOf(workload), "-arrival"), arrived, time.seconds);
  result.arrival.latency = arrived.end_to_end;
  result.arrival.latency_of = "arrival at a reader";
  return result;
}

absl::StatusOr<Figure> MeasureRead(BenchHub& hub, const ReadWorkload& workload, const RunTime& time) {
  auto topic = hub.CreateTopic({workload.partitions, /*fsync=*/true});
  if (!topic.ok()) return topic.status();
  auto remove = absl::MakeCleanup([&] { (void)hub.DeleteTopic(*topic); });
  if (absl::Status status = Fill(hub, *topic, workload); !status.ok()) return status;
  if (workload.cold) {
    if (absl::Status status = hub.Restart(); !status.ok()) return status;
    if (absl::Status status = hub.DropPageCache(); !status.ok()) return status;
  }
  return ReadAll(hub, *topic, workload, time);
}

}  // namespace naru::bench
