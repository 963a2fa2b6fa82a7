// rdkafka-load: drives a Kafka broker with librdkafka, with the verbs and figures of naru-bench. Each run
// makes a topic and leaves it behind: the broker is meant to be thrown away.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tools/bench/first_ack.h"
#include "tools/bench/peers/rdkafka_client.h"
#include "tools/bench/peers/rdkafka_produce.h"
#include "tools/bench/peers/rdkafka_read.h"
#include "tools/bench/report.h"

namespace naru::bench {
namespace {

struct Arguments {
  RdKafkaProduceLoad produce;
  RdKafkaReadLoad read;
  bool fsync = true;
  int64_t total_bytes = int64_t{256} << 20;
  pid_t server_pid = 0;
  double seconds = 3;
  double warmup_seconds = 1;
};

absl::Status MakeTopic(Arguments& a) {
  a.produce.topic = absl::StrCat("bench-", getpid());
  a.read.server = a.produce.server;
  a.read.topic = a.produce.topic;
  a.read.partitions = a.produce.partitions;
  return CreateTopic(a.produce.server, {a.produce.topic, a.produce.partitions, a.fsync});
}

// A record in each partition before the clock runs: the broker makes and syncs files at a partition's first
// append.
absl::Status MakeTopicAndBegin(Arguments& a) {
  if (absl::Status status = MakeTopic(a); !status.ok()) return status;
  RdKafkaProduceLoad first = a.produce;
  first.shape.batch_bytes = first.shape.record_bytes;
  first.depth = first.partitions;
  first.runs = first.partitions;
  first.rate = 0;
  auto tally = RunRdKafkaProduce(first, Window());
  if (!tally.ok()) return tally.status();
  return tally->failures ? absl::UnavailableError(tally->first_failure) : absl::OkStatus();
}

using Figures = absl::StatusOr<std::vector<Figure>>;

Figures Produce(Arguments& a) {
  if (absl::Status status = MakeTopicAndBegin(a); !status.ok()) return status;
  const CpuMeter meter(a.server_pid);
  auto tally = RunRdKafkaProduce(a.produce, Window::FromNow(a.warmup_seconds, a.seconds));
  if (!tally.ok()) return tally.status();
  Figure figure = ToFigure("produce", *tally, a.seconds);
  meter.Apply(figure);
  return std::vector<Figure>{std::move(figure)};
}

// As naru-bench's end-to-end: the acks' figure, then the arrivals'.
Figures EndToEnd(Arguments& a) {
  if (absl::Status status = MakeTopicAndBegin(a); !status.ok()) return status;
  auto consumer = OpenConsumer(a.produce.server, {{"fetch.error.backoff.ms", "5"}});
  if (!consumer.ok()) return consumer.status();
  const Window window = Window::FromNow(a.warmup_seconds, a.seconds);
  RdKafkaTailReader reader(*std::move(consumer), a.produce.topic, a.produce.partitions, window);
  const CpuMeter meter(a.server_pid);
  auto tally = RunRdKafkaProduce(a.produce, window);
  if (!tally.ok()) return tally.status();
  Figure ack = ToFigure("end-to-end", *tally, a.seconds);
  meter.Apply(ack);
  const Tally arrived = reader.Finish();
  Figure arrival = ToFigure("end-to-end-arrival", arrived, a.seconds);
  arrival.latency = arrived.end_to_end;
  arrival.latency_of = "arrival at a reader";
  return std::vector<Figure>{std::move(ack), std::move(arrival)};
}

Figures Fetch(Arguments& a) {
  a.fsync = false;
  if (absl::Status status = MakeTopic(a); !status.ok()) return status;
  RdKafkaProduceLoad fill = a.produce;
  fill.shape.batch_bytes = 1 << 20;
  fill.depth = 16;
  const int64_t each = std::max<int64_t>(1, a.total_bytes / fill.shape.batch_bytes / fill.partitions);
  fill.runs = each * fill.partitions;
  auto filled = RunRdKafkaProduce(fill, Window());
  if (!filled.ok()) return filled.status();
  if (filled->failures) {
    return absl::UnavailableError(absl::StrCat("filling the topic: ", filled->first_failure));
  }
  a.read.end_offset = each * (fill.shape.batch_bytes / fill.shape.record_bytes);
  const CpuMeter meter(a.server_pid);
  auto tally = RunRdKafkaRead(a.read, Window::FromNow(a.warmup_seconds, a.seconds));
  if (!tally.ok()) return tally.status();
  Figure figure = ToFigure("fetch", *tally, a.seconds);
  meter.Apply(figure);
  return std::vector<Figure>{std::move(figure)};
}

// A record of 1 KB as soon as the broker takes it.
Figures FirstAck(Arguments& a) {
  if (absl::Status status = WaitForPort(a.produce.server); !status.ok()) return status;
  a.produce.partitions = 1;
  if (absl::Status status = MakeTopic(a); !status.ok()) return status;
  a.produce.shape = {1024, 1024};
  a.produce.runs = 1;
  a.produce.depth = 1;
  a.produce.linger_ms = 0;
  auto tally = RunRdKafkaProduce(a.produce, Window());
  if (!tally.ok()) return tally.status();
  if (tally->failures) return absl::UnavailableError(tally->first_failure);
  return std::vector<Figure>{ToFigure("first-ack", *tally, 1)};
}

void AddOptions(CLI::App& app, Arguments& a) {
  RdKafkaProduceLoad& p = a.produce;
  app.add_option("--server", p.server, "HOST:PORT of the broker")->required();
  app.add_option("--server-pid", a.server_pid, "its process, for its CPU time");
  app.add_option("--seconds", a.seconds, "that are measured")->check(CLI::Range(0.05, 86'400.0));
  app.add_option("--warmup", a.warmup_seconds, "seconds before")->check(CLI::Range(0.0, 3'600.0));
  app.add_option("--partitions", p.partitions)->check(CLI::Range(1, 100'000));
  app.add_option("--record-bytes", p.shape.record_bytes, "bytes of a value, half of them random")
      ->check(CLI::Range(8, 2'000'000));
  app.add_option("--batch-bytes", p.shape.batch_bytes, "of values in a run")->check(CLI::Range(1, 2'000'000));
  app.add_option("--depth", p.depth, "runs on the way")->check(CLI::Range(1, 100'000));
  app.add_option("--acks", p.acks, "1: the leader's, -1: of all in sync")->check(CLI::Range(-1, 1));
  app.add_option("--linger-ms", p.linger_ms)->check(CLI::Range(0.0, 1'000.0));
  app.add_option("--rate", p.rate, "single records a second (open loop)")->check(CLI::Range(0.0, 1e9));
  app.add_option("--fsync", a.fsync, "flush.messages=1, or Kafka's default")->capture_default_str();
  app.add_option("--total-bytes", a.total_bytes, "fetch: written first");
  app.add_option("--consumers", a.read.consumers, "fetch: at a time")->check(CLI::Range(1, 100));
}

int Main(int argc, char** argv) {
  Arguments a;
  CLI::App app{"rdkafka-load: the load of naru-bench, for a Kafka broker"};
  app.require_subcommand(1);
  app.fallthrough();
  AddOptions(app, a);
  const std::vector<std::pair<const char*, Figures (*)(Arguments&)>> verbs = {
      {"produce", Produce}, {"end-to-end", EndToEnd}, {"fetch", Fetch}, {"first-ack", FirstAck}};
  for (const auto& [name, run] : verbs) app.add_subcommand(name);
  CLI11_PARSE(app, argc, argv);
  for (const auto& [name, run] : verbs) {
    if (!app.got_subcommand(name)) continue;
    const Figures figures = run(a);
    if (!figures.ok()) {
      std::fprintf(stderr, "rdkafka-load: %s\n", std::string(figures.status().message()).c_str());
      return 1;
    }
    std::printf("%s\n", ToJson(*figures).c_str());
  }
  return 0;
}

}  // namespace
}  // namespace naru::bench

int main(int argc, char** argv) { return naru::bench::Main(argc, argv); }
