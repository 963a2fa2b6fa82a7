// The clients of the crash test (run.py): makes the topic, writes and reads until told to stop, drains. What
// they see goes to a history for checker.py.
#include <pthread.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "naru/v1/admin.grpc.pb.h"
#include "tests/integration/crash/history.h"
#include "tests/integration/crash/hub_address.h"
#include "tests/integration/crash/producers.h"
#include "tests/integration/crash/readers.h"

namespace naru::crash {
namespace {

struct Options {
  std::string address_file;
  std::string history;
  std::string topic = "crash";
  int32_t partitions = 6;
  bool compacted = false;
  int stream_producers = 3;
  int unary_producers = 3;
  int fetch_readers = 2;
  int subscribe_readers = 1;
  int batches_per_second = 150;
};

int CreateTopic(const Options& options, const HubAddress& hub) {
  auto stub = naru::v1::AdminService::NewStub(hub.Connect());
  grpc::ClientContext context;
  naru::v1::CreateTopicRequest request;
  naru::v1::CreateTopicResponse response;
  request.set_name(options.topic);
  request.set_partition_count(options.partitions);
  if (options.compacted) {
    request.mutable_config()->set_cleanup_policy(naru::v1::CLEANUP_POLICY_COMPACT);
    request.mutable_config()->set_min_cleanable_dirty_ratio(0);
  }
  const grpc::Status status = stub->CreateTopic(&context, request, &response);
  if (!status.ok()) std::fprintf(stderr, "crash workload: %s\n", status.error_message().c_str());
  return status.ok() ? 0 : 1;
}

int DrainAll(const Options& options, const HubAddress& hub, const std::atomic<bool>& stop) {
  History history(options.history);
  return Drain({hub, history, stop, options.topic, options.partitions, "drain"}) ? 0 : 1;
}

// Until SIGTERM or SIGINT, which every thread blocks.
int RunClients(const Options& options, const HubAddress& hub, std::atomic<bool>& stop,
               const sigset_t& signals) {
  History history(options.history);
  std::vector<std::thread> threads;
  for (int i = 0; i < options.stream_producers + options.unary_producers; ++i) {
    const ProducerTask task{
        hub, history, stop, options.topic, options.partitions, i + 1, options.batches_per_second};
    threads.emplace_back(
        [task, run = i < options.stream_producers ? RunStreamProducer : RunUnaryProducer] { run(task); });
  }
  for (int i = 0; i < options.fetch_readers + options.subscribe_readers; ++i) {
    const ReaderTask task{hub, history, stop, options.topic, options.partitions, absl::StrCat("c", i + 1)};
    threads.emplace_back(
        [task, run = i < options.fetch_readers ? RunFetchReader : RunSubscribeReader] { run(task); });
  }
  int received = 0;
  sigwait(&signals, &received);
  stop = true;
  for (std::thread& thread : threads) thread.join();
  return 0;
}

int Main(int argc, char** argv) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  Options options;
  CLI::App app{"Clients of the crash test"};
  app.require_subcommand(1);
  app.add_option("--address-file", options.address_file, "holds the hub's host:port")->required();
  app.add_option("--history", options.history, "events are appended here, as JSON lines");
  app.add_option("--topic", options.topic);
  app.add_option("--partitions", options.partitions)->check(CLI::Range(1, 10'000));
  app.add_option("--stream-producers", options.stream_producers)->check(CLI::Range(0, 1'000));
  app.add_option("--unary-producers", options.unary_producers)->check(CLI::Range(0, 1'000));
  app.add_option("--fetch-readers", options.fetch_readers)->check(CLI::Range(0, 1'000));
  app.add_option("--subscribe-readers", options.subscribe_readers)->check(CLI::Range(0, 1'000));
  app.add_option("--batches-per-second", options.batches_per_second, "of each producer")
      ->check(CLI::Range(1, 100'000));
  auto* create = app.add_subcommand("create", "make the topic");
  create->add_flag("--compacted", options.compacted, "of each key only the newest record stays");
  auto* run = app.add_subcommand("run", "write and read until SIGTERM");
  app.add_subcommand("drain", "read everything once");
  CLI11_PARSE(app, argc, argv);

  std::atomic<bool> stop = false;
  const HubAddress hub(options.address_file, stop);
  if (create->parsed()) return CreateTopic(options, hub);
  if (run->parsed()) return RunClients(options, hub, stop, signals);
  return DrainAll(options, hub, stop);
}

}  // namespace
}  // namespace naru::crash

int main(int argc, char** argv) { return naru::crash::Main(argc, argv); }
