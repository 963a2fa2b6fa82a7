// naru-bench: the load generator. "naru-bench --help" says what it does.
#include <pthread.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "tools/bench/catch_up.h"
#include "tools/bench/client_load.h"
#include "tools/bench/compaction_load.h"
#include "tools/bench/echo_server.h"
#include "tools/bench/first_ack.h"
#include "tools/bench/group_load.h"
#include "tools/bench/progress.h"
#include "tools/bench/suite.h"
#include "tools/bench/workloads.h"

namespace naru::bench {
namespace {

struct Arguments {
  HubOptions hub;
  RunTime time;
  ProduceWorkload produce;
  ReadWorkload read;
  GroupsWorkload groups;
  RebalanceWorkload rebalance;
  CompactionWorkload compaction;
  CatchUpWorkload catch_up;
  ClientWorkload client;
  std::string acks = "all";
  std::string durability = "fsync";
  std::string compression = "none";
  double records_per_second = 0;
  std::string json;
  std::string port_file;
  int64_t piece_bytes = 64 << 10;
  int64_t sync_every = 1;
};

const std::map<std::string, Codec> kCodecs = {{"none", Codec::kNone},
                                              {"gzip", Codec::kGzip},
                                              {"lz4", Codec::kLz4},
                                              {"zstd", Codec::kZstd},
                                              {"snappy", Codec::kSnappy}};
const std::map<std::string, int> kAcks = {{"none", 1}, {"leader", 2}, {"all", 3}};

void AddHubOptions(CLI::App& app, Arguments& a) {
  app.add_option("--server", a.hub.server,
                 "HOST:PORT of a hub that runs; without it a narud is started and removed");
  app.add_option("--server-pid", a.hub.server_pid, "its process, for its CPU time");
  app.add_option("--narud", a.hub.narud, "program to start (default: the narud beside naru-bench)");
  app.add_option("--narud-arg", a.hub.narud_arguments, "a further flag for it; may be given often");
  app.add_option("--folder", a.hub.folder,
                 "where its data go, and the disk is measured (default: TMPDIR or /var/tmp)");
}

// On unless =false.
void AddIdempotentOption(CLI::App& app, bool& idempotent, const std::string& what) {
  app.add_flag("--idempotent,!--not-idempotent", idempotent, what + "; on unless --idempotent=false");
}

void AddProduceOptions(CLI::App& app, Arguments& a) {
  app.add_option("--partitions", a.produce.topic.partitions)
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  app.add_option("--record-bytes", a.produce.load.shape.record_bytes, "bytes of a value, half of them random")
      ->check(CLI::Range(8, 2'000'000))
      ->capture_default_str();
  app.add_option("--batch-bytes", a.produce.load.shape.batch_bytes, "records are batched up to this")
      ->check(CLI::Range(1, 2'000'000))
      ->capture_default_str();
  app.add_option("--acks", a.acks)->check(CLI::IsMember({"none", "leader", "all"}))->capture_default_str();
  app.add_option("--durability", a.durability)
      ->check(CLI::IsMember({"fsync", "background"}))
      ->capture_default_str();
  app.add_option("--compression", a.compression)->check(CLI::IsMember(kCodecs))->capture_default_str();
  app.add_option("--depth", a.produce.load.depth, "batches on the way")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  app.add_option("--connections", a.produce.connections)->check(CLI::Range(1, 1'000))->capture_default_str();
  app.add_option("--rate", a.records_per_second, "records a second (open loop); 0: as fast as --depth allows")
      ->check(CLI::Range(0.0, 1e9))
      ->capture_default_str();
  app.add_flag("--unary", a.produce.load.unary,
               "Produce calls instead of a ProduceStream for each connection");
  AddIdempotentOption(app, a.produce.load.idempotent, "stamp batches, not with --unary nor --acks none");
}

void AddReadOptions(CLI::App& app, Arguments& a) {
  app.add_option("--partitions", a.read.partitions)->check(CLI::Range(1, 100'000))->capture_default_str();
  app.add_option("--record-bytes", a.read.record_bytes)
      ->check(CLI::Range(8, 1'000'000))
      ->capture_default_str();
  app.add_option("--total-bytes", a.read.total_bytes, "written first")
      ->check(CLI::Range(int64_t{1} << 20, int64_t{1} << 40))
      ->capture_default_str();
  app.add_flag("--cold", a.read.cold,
               "from disk: the hub started anew, the page cache dropped (not with --server)");
  app.add_flag("--stored-batches", a.read.stored_batches, "verbatim batches instead of records");
  app.add_option("--connections", a.read.connections)->check(CLI::Range(1, 1'000))->capture_default_str();
}

void AddGroupOptions(CLI::App& app, Arguments& a) {
  GroupsWorkload& w = a.groups;
  app.add_option("--groups", w.groups)->check(CLI::Range(1, 100'000))->capture_default_str();
  app.add_option("--members", w.members, "of each")->check(CLI::Range(1, 10'000))->capture_default_str();
  app.add_option("--partitions", w.partitions)->check(CLI::Range(1, 100'000))->capture_default_str();
  app.add_option("--connections", w.connections)->check(CLI::Range(1, 1'000))->capture_default_str();
  app.add_option("--idle-seconds", w.idle_seconds)->check(CLI::Range(0.1, 3'600.0))->capture_default_str();
  app.add_option("--load-seconds", w.load_seconds)->check(CLI::Range(0.1, 3'600.0))->capture_default_str();
  app.add_option("--rate", w.records_per_second, "records a second, all of them read by every group")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
}

void AddRebalanceOptions(CLI::App& app, Arguments& a) {
  RebalanceWorkload& w = a.rebalance;
  app.add_option("--members", w.members)->check(CLI::Range(1, 10'000))->capture_default_str();
  app.add_option("--partitions", w.partitions)->check(CLI::Range(1, 100'000))->capture_default_str();
  app.add_option("--connections", w.connections)->check(CLI::Range(1, 1'000))->capture_default_str();
  app.add_option("--rounds", w.rounds, "of one that joins and one that leaves")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  app.add_option("--rate", w.records_per_second, "records a second meanwhile")
      ->check(CLI::Range(2, 1'000'000))
      ->capture_default_str();
}

void AddCompactionOptions(CLI::App& app, Arguments& a) {
  CompactionWorkload& w = a.compaction;
  app.add_option("--updates", w.updates)->check(CLI::Range(1'000, 1'000'000'000))->capture_default_str();
  app.add_option("--keys", w.keys)
      ->check(CLI::Range(int64_t{1}, CompactionWorkload::kKeysMax))
      ->capture_default_str();
  app.add_option("--record-bytes", w.record_bytes)->check(CLI::Range(8, 100'000))->capture_default_str();
  app.add_option("--batch-bytes", w.batch_bytes)->check(CLI::Range(1, 1'000'000))->capture_default_str();
  app.add_option("--depth", w.depth, "batches on the way")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  app.add_option("--connections", w.connections)->check(CLI::Range(1, 100))->capture_default_str();
}

void AddCatchUpOptions(CLI::App& app, Arguments& a) {
  CatchUpWorkload& w = a.catch_up;
  app.add_option("--partitions", w.partitions)->check(CLI::Range(1, 100'000))->capture_default_str();
  app.add_option("--record-bytes", w.record_bytes)->check(CLI::Range(8, 100'000))->capture_default_str();
  app.add_option("--batch-bytes", w.batch_bytes)->check(CLI::Range(1, 2'000'000))->capture_default_str();
  app.add_option("--total-bytes", w.total_bytes, "written first, a batch to each partition in turn")
      ->check(CLI::Range(int64_t{1} << 20, int64_t{1} << 40))
      ->capture_default_str();
  app.add_option("--rate", w.records_per_second, "records a second that are written meanwhile")
      ->check(CLI::Range(1.0, 1e9))
      ->capture_default_str();
}

void AddClientOptions(CLI::App& verb, Arguments& a) {
  verb.add_option("--partitions", a.client.partitions)->check(CLI::Range(1, 100'000))->capture_default_str();
  verb.add_option("--record-bytes", a.client.record_bytes, "bytes of a value, half of them random")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  verb.add_option("--batch-bytes", a.client.batch_bytes, "records are batched up to this")
      ->check(CLI::Range(1, 2'000'000))
      ->capture_default_str();
  verb.add_option("--durability", a.durability, "fsync, or background")
      ->check(CLI::IsMember({"fsync", "background"}))
      ->capture_default_str();
  AddIdempotentOption(verb, a.client.idempotent, "an idempotent producer");
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "naru-bench: %s\n", std::string(status.message()).c_str());
  return 1;
}

// The table, and the JSON where asked for. Failed requests fail the run.
int Report(const Arguments& a, const std::vector<Figure>& figures, bool table) {
  if (table) std::printf("%s\n", TableHead().c_str());
  int64_t failures = 0;
  for (const Figure& figure : figures) {
    if (table) std::printf("%s\n", TableLine(figure).c_str());
    failures += figure.failures;
  }
  if (a.json == "-") {
    std::printf("%s\n", ToJson(figures).c_str());
  } else if (!a.json.empty()) {
    std::ofstream(a.json) << ToJson(figures) << "\n";
  }
  return failures ? 1 : 0;
}

int Show(const Arguments& a, absl::StatusOr<Figure> figure) {
  return figure.ok() ? Report(a, {*std::move(figure)}, a.json != "-") : Fail(figure.status());
}

template <typename Figures>
int ShowFigures(const Arguments& a, const absl::StatusOr<Figures>& figures) {
  if (!figures.ok()) return Fail(figures.status());
  if (a.json != "-") std::printf("%s", ToText(*figures).c_str());
  if (a.json == "-") {
    std::printf("%s\n", ToJson(*figures).c_str());
  } else if (!a.json.empty()) {
    std::ofstream(a.json) << ToJson(*figures) << "\n";
  }
  return 0;
}

sigset_t EndSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

// Ctrl-C leaves no hub and no data behind.
void CleanUpOnSignal() {
  std::thread([] {
    const sigset_t signals = EndSignals();
    int received = 0;
    sigwait(&signals, &received);
    EndChildrenAndRemoveData();
    _exit(128 + received);
  }).detach();
}

// Until SIGTERM.
int ServeEcho(const Arguments& a) {
  EchoServer server;
  const std::string address = server.Start();
  if (address.empty()) return 1;
  if (a.port_file.empty()) std::printf("%s\n", address.c_str());
  const std::string fresh = a.port_file + ".new";
  if (!a.port_file.empty()) {
    std::ofstream(fresh) << address << "\n";
    std::filesystem::rename(fresh, a.port_file);
  }
  const sigset_t signals = EndSignals();
  int received = 0;
  sigwait(&signals, &received);
  return 0;
}

int RunSuiteVerb(const Arguments& a, const std::string& folder) {
  auto hub = BenchHub::Open(a.hub);
  if (!hub.ok()) return Fail(hub.status());
  auto figures = RunSuite(**hub, folder, a.time, stdout);
  return figures.ok() ? Report(a, *figures, false) : Fail(figures.status());
}

// Small segments, unless told otherwise: what is written and what is ready is then little of the disk.
void UseSmallSegments(HubOptions& hub) {
  for (const std::string& argument : hub.narud_arguments) {
    if (argument.rfind("--segment-bytes", 0) == 0) return;
  }
  hub.narud_arguments.emplace_back("--segment-bytes=16MiB");
}

int RunHubVerb(const std::string& verb, Arguments& a) {
  a.produce.load.acks = kAcks.at(a.acks);
  a.produce.load.shape.codec = kCodecs.at(a.compression);
  a.produce.topic.fsync = a.durability == "fsync";
  const int64_t per_batch =
      std::max<int64_t>(1, a.produce.load.shape.batch_bytes / a.produce.load.shape.record_bytes);
  a.produce.load.rate = a.records_per_second / static_cast<double>(per_batch);
  a.read.subscribe = verb == "subscribe";
  if (verb == "end-to-end" && a.produce.load.rate <= 0) {
    return Fail(absl::InvalidArgumentError("--rate: 0 is not allowed; end-to-end needs a rate above 0"));
  }
  if (verb == "compaction") UseSmallSegments(a.hub);
  auto hub = BenchHub::Open(a.hub);
  if (!hub.ok()) return Fail(hub.status());
  if (verb == "groups") return ShowFigures(a, MeasureGroups(**hub, a.groups));
  if (verb == "rebalance") return ShowFigures(a, MeasureRebalance(**hub, a.rebalance));
  if (verb == "compaction") return ShowFigures(a, MeasureCompaction(**hub, a.compaction));
  if (verb == "catch-up") {
    const auto figures = MeasureCatchUp(**hub, a.catch_up, a.time);
    return figures.ok() ? Report(a, *figures, a.json != "-") : Fail(figures.status());
  }
  if (verb == "client") {
    a.client.fsync = a.produce.topic.fsync;
    const auto figures = MeasureClient(**hub, a.client, a.time);
    return figures.ok() ? Report(a, *figures, a.json != "-") : Fail(figures.status());
  }
  if (verb == "produce") return Show(a, MeasureProduce(**hub, a.produce, a.time));
  if (verb != "end-to-end") return Show(a, MeasureRead(**hub, a.read, a.time));
  auto figures = MeasureEndToEnd(**hub, a.produce, a.time);
  return figures.ok() ? Report(a, {figures->ack, figures->arrival}, a.json != "-") : Fail(figures.status());
}

int RunFirstAck(const Arguments& a) {
  const absl::Status status = a.hub.server.empty()
                                  ? absl::InvalidArgumentError("--server: first-ack needs a hub to wait for")
                                  : FirstAck(a.hub.server);
  return status.ok() ? 0 : Fail(status);
}

int RunLimitVerb(const std::string& verb, const Arguments& a, const std::string& folder) {
  if (verb == "disk") return Show(a, MeasureAppend(folder, a.piece_bytes, a.sync_every, a.time));
  auto echo = EchoProcess::Start();
  if (!echo.ok()) return Fail(echo.status());
  return Show(a, MeasureEcho(**echo, a.produce.load.shape, a.produce.load.depth, a.time));
}

int Main(int argc, char** argv) {
  // Before any thread is there, so that each of them inherits it.
  const sigset_t signals = EndSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  Arguments a;
  CLI::App app{
      "Loads a hub and measures it, beside what the machine can do at all.\n"
      "Latencies count from when a request was meant to be sent. MB are 10^6 bytes of values; \"client\" and "
      "\"hub\"\n"
      "are CPU cores in use.\n\n"
      "  naru-bench suite                                        first figures, in about two minutes\n"
      "  naru-bench produce --partitions 16 --batch-bytes 65536  as fast as it goes, fsync before each ack\n"
      "  naru-bench produce --rate 20000 --batch-bytes 1         single records, open loop\n"
      "  naru-bench end-to-end --rate 20000 --batch-bytes 1      from the intended send to a reader\n"
      "  naru-bench fetch --server 127.0.0.1:9410                from a hub that runs\n"};
  app.name("naru-bench");
  app.require_subcommand(1);
  app.fallthrough();
  AddHubOptions(app, a);
  app.add_option("--seconds", a.time.seconds, "that are measured")
      ->check(CLI::Range(0.05, 86'400.0))
      ->capture_default_str();
  app.add_option("--warmup", a.time.warmup_seconds, "seconds before")
      ->check(CLI::Range(0.0, 3'600.0))
      ->capture_default_str();
  app.add_option("--json", a.json, "write the figures there as JSON; - for standard output");
  app.add_subcommand("suite", "disk, fdatasync, gRPC, then the hub: throughput, reading, latency");
  AddProduceOptions(*app.add_subcommand("produce", "write"), a);
  auto* end_to_end = app.add_subcommand("end-to-end", "write at a rate and read at the tail");
  end_to_end->add_option("--readers", a.produce.readers, "that each read everything")
      ->check(CLI::Range(1, 1'000))
      ->capture_default_str();
  AddProduceOptions(*end_to_end, a);
  auto* fetch = app.add_subcommand("fetch", "read with Fetch calls");
  fetch->add_option("--depth", a.read.depth, "calls at a time")
      ->check(CLI::Range(1, 1'000))
      ->capture_default_str();
  fetch->add_flag("--decode", a.read.decode, "parse every answer, as a client that uses the records must");
  AddReadOptions(*fetch, a);
  AddReadOptions(*app.add_subcommand("subscribe", "read with a Subscribe stream for each connection"), a);
  AddCatchUpOptions(
      *app.add_subcommand("catch-up",
                          "read old partitions from disk while all are written to (not with --server)"),
      a);
  AddClientOptions(
      *app.add_subcommand("client", "the C++ client: records to a Producer, and back from a Subscription"),
      a);
  AddGroupOptions(*app.add_subcommand("groups", "many consumer groups, at rest and at work"), a);
  AddRebalanceOptions(*app.add_subcommand("rebalance", "one large group that members join and leave"), a);
  AddCompactionOptions(
      *app.add_subcommand("compaction", "updates of few keys, and how long until only the newest are left"),
      a);
  AddProduceOptions(*app.add_subcommand("echo", "what gRPC does alone: a server that stores nothing"), a);
  app.add_subcommand("first-ack", "wait for a hub that starts at --server until it acknowledges a record");
  auto* disk = app.add_subcommand("disk", "what the disk does alone: appends to a preallocated file");
  disk->add_option("--piece-bytes", a.piece_bytes)->check(CLI::Range(1, 64 << 20))->capture_default_str();
  disk->add_option("--sync-every", a.sync_every, "fdatasync after so many pieces; 0: never")
      ->check(CLI::Range(0, 1'000'000))
      ->capture_default_str();
  auto* serve = app.add_subcommand("echo-server", "the server of \"echo\", until SIGTERM");
  serve->add_option("--port-file", a.port_file);
  CLI11_PARSE(app, argc, argv);

  const std::string verb = app.get_subcommands()[0]->get_name();
  const char* temporary = getenv("TMPDIR");
  const std::string folder = !a.hub.folder.empty() ? a.hub.folder : temporary ? temporary : "/var/tmp";
  if (verb == "echo-server") return ServeEcho(a);
  if (verb == "first-ack") return RunFirstAck(a);
  CleanUpOnSignal();
  const Progress progress(verb);
  if (verb == "suite") return RunSuiteVerb(a, folder);
  return verb == "disk" || verb == "echo" ? RunLimitVerb(verb, a, folder) : RunHubVerb(verb, a);
}

}  // namespace
}  // namespace naru::bench

int main(int argc, char** argv) {
  // As in narud: a search for lock cycles at every lock.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  return naru::bench::Main(argc, argv);
}
