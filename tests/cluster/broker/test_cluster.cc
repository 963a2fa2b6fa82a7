#include "tests/cluster/broker/test_cluster.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "storage/base/status.h"
#include "storage/batch/batch.h"
#include "tests/storage/log/record_batches.h"

namespace naru::cluster {
namespace {

// Until the coordinator has decided something, but not for long: brokers hear of it later than the store.
void WaitForDecision(const MemoryClusterMetadata& metadata) {
  metadata.Await(absl::Milliseconds(5), [head = metadata.Read().head](const ClusterMetadata& stored) {
    return stored.head != head;
  });
}

// Calls something that completes, and waits for it.
template <typename Result, typename Call>
Result Await(const Call& call) {
  absl::Notification done;
  std::optional<Result> result;
  call([&](Result value) {
    result = std::move(value);
    done.Notify();
  });
  EXPECT_TRUE(done.WaitForNotificationWithTimeout(kPatience));
  return std::move(*result);
}

std::unique_ptr<grpc::Server> Serve(grpc::Service& service, std::string& address) {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  builder.SetMaxReceiveMessageSize(-1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 500);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  auto server = builder.BuildAndStart();
  address = "127.0.0.1:" + std::to_string(port);
  return server;
}

void End(grpc::Server& server) {
  server.Shutdown(std::chrono::system_clock::now());
  server.Wait();
}

}  // namespace

TestCluster::TestCluster(int coordinators, int brokers, int64_t catch_up_rate)
    : catch_up_rate_(catch_up_rate) {
  for (int i = 0; i < coordinators; ++i) {
    Coordinator made;
    made.store = std::make_unique<MemoryClusterStore>(metadata_, clock_);
    CoordinatorProcessOptions options;
    options.machine.broker_session_ms = 2'000;
    options.machine.rebalance_ms = 500;
    made.process = std::make_unique<CoordinatorProcess>(options, *made.store, clock_, events_);
    made.service = std::make_unique<CoordinatorService>(*made.process);
    made.server = Serve(*made.service, made.address);
    made.process->Start(made.address);
    coordinators_.push_back(std::move(made));
  }
  for (int id = 1; id <= brokers; ++id) {
    brokers_[id].store = std::make_unique<MemoryLogStore>(clock_);
    StartBroker(id);
  }
  WaitForBrokers(brokers);
}

TestCluster::~TestCluster() {
  for (auto& [id, broker] : brokers_) {
    if (broker.process) StopBroker(id);
  }
  for (size_t i = 0; i < coordinators_.size(); ++i) StopCoordinator(static_cast<int>(i));
}

void TestCluster::StartBroker(int id) {
  Broker& broker = brokers_.at(id);
  broker.links = std::make_unique<GrpcLinks>();
  // The port is known before the process is made: it is told to others.
  struct Slot final : naru::internal::v1::PeerService::CallbackService {};
  std::string address;
  {
    Slot slot;
    const auto probe = Serve(slot, address);
    End(*probe);
  }
  BrokerProcessOptions options;
  options.broker = BrokerId(id);
  options.incarnation = std::to_string(id) + "." + std::to_string(broker.disks);
  options.retry_ms = 20;
  options.replicas.tick_ms = 50;
  options.replicas.catch_up_bytes_per_second = catch_up_rate_;
  options.replicas.fetch_bytes_max = 64 << 10;
  options.replicas.replication.lag_ms_max = 2'000;
  options.replicas.replication.proposal_retry_ms = 200;
  BrokerProcess::Addresses addresses{.client = "127.0.0.1:" + std::to_string(id), .peer = address};
  for (const Coordinator& coordinator : coordinators_) addresses.coordinators.push_back(coordinator.address);
  broker.process = std::make_unique<BrokerProcess>(options, *broker.store, *broker.links, clock_, events_,
                                                   [](const std::string&) {});
  broker.coordinator = std::make_unique<GroupCoordinator>(
      GroupCoordinatorOptions{.in_cluster = true,
                              .confirm = [process = broker.process.get()](
                                             LogId log, LeaderEpoch epoch,
                                             auto done) { process->Confirm(log, epoch, std::move(done)); }},
      broker.process->led_logs(), *broker.process, clock_, events_,
      [process = broker.process.get()](auto done) {
        naru::v1::CreateTopicRequest request;
        request.set_name(std::string(kOffsetsTopic));
        request.set_partition_count(3);
        process->CreateInternalTopic(request, std::move(done));
      });
  broker.groups =
      std::make_unique<ClusterGroups>(*broker.coordinator, *broker.process, *broker.links, clock_);
  broker.process->OnAddress(
      [groups = broker.groups.get()](BrokerId of, const std::string& at) { groups->SetAddress(of, at); });
  broker.coordinator->Start();
  broker.service = std::make_unique<PeerService>(*broker.process, *broker.coordinator);
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials());
  builder.RegisterService(broker.service.get());
  builder.SetMaxReceiveMessageSize(-1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 500);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  broker.server = builder.BuildAndStart();
  broker.process->Start(std::move(addresses));
}

void TestCluster::StopBroker(int id) {
  Broker& broker = brokers_.at(id);
  broker.groups->Shutdown();
  broker.process->Stop();
  broker.coordinator->Stop();
  End(*broker.server);
  broker.server.reset();
  broker.service.reset();
  broker.groups.reset();
  broker.coordinator.reset();
  broker.process.reset();
  broker.links.reset();
}

void TestCluster::ReplaceDisk(int id) {
  Broker& broker = brokers_.at(id);
  ++broker.disks;
  broker.store = std::make_unique<MemoryLogStore>(clock_);
}

void TestCluster::StopCoordinator(int index) {
  Coordinator& coordinator = coordinators_.at(static_cast<size_t>(index));
  if (!coordinator.server) return;
  coordinator.process->Stop();
  End(*coordinator.server);
  coordinator.server.reset();
}

void TestCluster::WaitForBrokers(int count) {
  const auto so = [&](const ClusterMetadata& metadata) {
    return std::ranges::count_if(metadata.brokers, [](const auto& known) { return !known.second.fenced; }) ==
           count;
  };
  ASSERT_TRUE(metadata_.Await(kPatience, so)) << "waited in vain for " << count << " brokers";
}

void TestCluster::WaitForLeader(const std::string& topic, int32_t partition, int leader) {
  const auto so = [&](const ClusterMetadata& metadata) {
    const auto found = metadata.topics.find(topic);
    return found != metadata.topics.end() &&
           metadata.partitions.at({ToTopicId(*found->second), partition}).leader == BrokerId(leader);
  };
  ASSERT_TRUE(metadata_.Await(kPatience, so)) << "waited in vain for leader " << leader;
}

void TestCluster::WaitForIsr(const std::string& topic, size_t size) {
  const auto so = [&](const ClusterMetadata& metadata) {
    const auto found = metadata.topics.find(topic);
    if (found == metadata.topics.end()) return false;
    for (int32_t i = 0; i < found->second->partition_count(); ++i) {
      if (metadata.partitions.at({ToTopicId(*found->second), i}).isr.size() != size) return false;
    }
    return true;
  };
  ASSERT_TRUE(metadata_.Await(kPatience, so)) << "waited in vain for " << size << " in sync";
}

void TestCluster::WaitForEnd(int id, LogId log, Offset end) {
  absl::Notification reached;
  const auto watch = store(id).Watch(log, end - 1, [&] { reached.Notify(); });
  const bool so = reached.WaitForNotificationWithTimeout(kPatience);
  (void)store(id).CancelWatch(watch);
  ASSERT_TRUE(so) << "waited in vain for offset " << end.value();
}

void TestCluster::WaitForTooFewInSync(int id) {
  const absl::Time until = absl::Now() + kPatience;
  while (broker(id).Snapshot().replicas.under_min_isr == 0) {
    ASSERT_LT(absl::Now(), until) << "waited in vain for too few in sync";
    WaitForDecision(metadata_);
  }
}

absl::StatusOr<std::shared_ptr<const TopicInfo>> TestCluster::CreateTopic(int through,
                                                                          const std::string& name,
                                                                          int32_t partitions, int32_t copies,
                                                                          int32_t min_in_sync) {
  naru::v1::CreateTopicRequest request;
  request.set_name(name);
  request.set_partition_count(partitions);
  request.set_replication_factor(copies);
  request.mutable_config()->set_min_in_sync_replicas(min_in_sync);
  return Await<absl::StatusOr<std::shared_ptr<const TopicInfo>>>(
      [&](auto done) { broker(through).CreateTopic(request, std::move(done)); });
}

LogId TestCluster::LogOf(const std::string& topic, int32_t partition) {
  return metadata_.Read().topics.at(topic)->partitions.at(static_cast<size_t>(partition)).log;
}

absl::StatusOr<Appended> TestCluster::AppendAt(int through, LogId log, Offset expected) {
  AppendRequest request = testing::AppendOf(log, testing::MakeBatch({"at"}));
  request.expected_offset = expected;
  return Await<absl::StatusOr<Appended>>(
      [&](auto done) { broker(through).logs().Append(std::move(request), std::move(done)); });
}

absl::StatusOr<ReadResult> TestCluster::ReadFrom(int through, LogId log, Offset from) {
  return Await<absl::StatusOr<ReadResult>>(
      [&](auto done) { broker(through).logs().Read({.log = log, .from = from}, std::move(done)); });
}

absl::StatusOr<Appended> TestCluster::Append(int through, LogId log, const std::string& value,
                                             bool on_all_in_sync) {
  AppendRequest request = testing::AppendOf(log, testing::MakeBatch({value}));
  request.on_all_in_sync = on_all_in_sync;
  return Await<absl::StatusOr<Appended>>(
      [&](auto done) { broker(through).logs().Append(std::move(request), std::move(done)); });
}

absl::StatusOr<Appended> TestCluster::AppendUntilDone(int through, LogId log, const std::string& value,
                                                      int& unknown) {
  const absl::Time until = absl::Now() + kPatience;
  while (true) {
    absl::StatusOr<Appended> appended = Append(through, log, value);
    if (appended.ok() || absl::Now() > until) return appended;
    if (ReasonOf(appended.status()) == Reason::kLeaderChanged) ++unknown;
    WaitForDecision(metadata_);
  }
}

namespace {

const absl::Status& StatusOf(const absl::Status& status) { return status; }
template <typename Value>
const absl::Status& StatusOf(const absl::StatusOr<Value>& result) {
  return result.status();
}

}  // namespace

template <typename Result>
Result TestCluster::WhileUnavailable(absl::FunctionRef<Result()> call) {
  const absl::Time until = absl::Now() + kPatience;
  while (true) {
    Result result = call();
    const bool again =
        absl::IsUnavailable(StatusOf(result)) || ReasonOf(StatusOf(result)) == Reason::kLeaderChanged;
    if (!again || absl::Now() > until) return result;
    WaitForDecision(metadata_);
  }
}

absl::StatusOr<Appended> TestCluster::AppendStamped(int through, LogId log, const ProducerStamp& stamp) {
  return WhileUnavailable<absl::StatusOr<Appended>>([&] {
    AppendRequest request = testing::AppendOf(log, testing::MakeBatch({"stamped"}));
    request.producer = stamp;
    return Await<absl::StatusOr<Appended>>(
        [&](auto done) { broker(through).logs().Append(std::move(request), std::move(done)); });
  });
}

absl::Status TestCluster::MoveLogStart(int through, LogId log, Offset start) {
  return WhileUnavailable<absl::Status>([&] {
    return Await<absl::Status>(
        [&](auto done) { broker(through).logs().MoveLogStart(log, start, std::move(done)); });
  });
}

absl::StatusOr<std::vector<std::string>> TestCluster::ReadAllUntilDone(int through, LogId log) {
  using Read = absl::StatusOr<std::vector<std::string>>;
  return WhileUnavailable<Read>([&] { return ReadAll(through, log); });
}

absl::StatusOr<std::vector<std::string>> TestCluster::ReadAll(int through, LogId log) {
  std::vector<std::string> values;
  const auto info = Await<absl::StatusOr<LogInfo>>(
      [&](auto done) { broker(through).logs().AskInfo(log, std::move(done)); });
  NARU_RETURN_IF_ERROR(info.status());
  for (Offset at = info->log_start; at < info->readable_end;) {
    const auto result = Await<absl::StatusOr<ReadResult>>(
        [&](auto done) { broker(through).logs().Read({.log = log, .from = at}, std::move(done)); });
    NARU_RETURN_IF_ERROR(result.status());
    for (const StoredBatchView& batch : result->batches) {
      NARU_RETURN_IF_ERROR(ForEachRecord(batch.bytes, [&](const RecordView& record) {
        values.emplace_back(record.value.value_or(""));
        return true;
      }));
    }
    if (result->next_offset <= at) return absl::UnavailableError("the leader has not got there again");
    at = result->next_offset;
  }
  return values;
}

}  // namespace naru::cluster
