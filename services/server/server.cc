#include "services/server/server.h"

#include <chrono>
#include <utility>
#include <vector>

#include "services/server/allocator.h"
#include "services/server/bounded_services.h"
#include "services/server/build_info.h"
#include "services/server/process_usage.h"
#include "storage/base/files.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"
#include "storage/index/rocks_map_store.h"

namespace naru::services {
namespace {

constexpr absl::Duration kWatchInterval = absl::Milliseconds(50);
// Of the memory limit: above it pages that hold nothing are worth the trouble of giving them back.
constexpr int64_t kFullMemoryPercent = 80;
constexpr absl::Duration kDrainPoll = absl::Milliseconds(5);
// Beside the largest batch, what a message may have: the request around it.
constexpr int64_t kRequestOverheadBytes = int64_t{64} << 10;
// What gRPC takes by default; less would surprise.
constexpr int64_t kReceiveBytesMin = int64_t{4} << 20;
// Threads for what must leave a thread of the store; they never block.
constexpr int kExecutorThreads = 2;

const std::vector<std::string>& ServiceNames() {
  static const auto* names = new std::vector<std::string>{
      naru::v1::ProduceService::service_full_name(), naru::v1::ConsumeService::service_full_name(),
      naru::v1::AdminService::service_full_name(),   naru::v1::ClusterService::service_full_name(),
      naru::v1::GroupService::service_full_name(),   naru::v1::TransactionService::service_full_name()};
  return *names;
}

HttpAnswer AlivePage() { return {200, "text/plain; charset=utf-8", "alive\n"}; }

// Everybody's address is nobody's.
bool IsWildcard(const std::string& host) { return host == "0.0.0.0" || host == "::"; }

}  // namespace

Server::Server(const ServerOptions& options, const MemoryPlan& plan, EventLog& events)
    : options_(options),
      plan_(plan),
      store_options_(options.StoreConfiguration()),
      events_(events),
      start_time_ms_(clock_.NowMs()),
      call_limit_(plan.calls_max),
      calls_(ServiceNames(), call_limit_),
      metrics_(options, plan, calls_, start_time_ms_) {}

Server::~Server() { Shutdown(0); }

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options, EventLog& events) {
  NARU_RETURN_IF_ERROR(options.Validate());
  NARU_ASSIGN_OR_RETURN(const MemoryPlan plan, PlanMemory(options));
  auto server = std::unique_ptr<Server>(new Server(options, plan, events));
  NARU_RETURN_IF_ERROR(server->OpenStorage());
  NARU_RETURN_IF_ERROR(server->StartCoordinator());
  server->StartGroups();
  server->MakeServices();
  NARU_RETURN_IF_ERROR(server->Listen());
  NARU_RETURN_IF_ERROR(server->Announce());
  return server;
}

absl::Status Server::StartHttp() {
  if (options_.http == "off") return absl::OkStatus();
  NARU_ASSIGN_OR_RETURN(const HostPort address, ParseHostPort(options_.http));
  NARU_ASSIGN_OR_RETURN(
      http_,
      HttpEndpoint::Start(
          address,
          {{"/healthz", AlivePage},
           {"/readyz", [this] { return health_.ReadyPage(); }},
           {"/metrics",
            [this] {
              return HttpAnswer{200, "text/plain; version=0.0.4; charset=utf-8", RenderMetrics(metrics_)};
            }}},
          metrics_.http()));
  return absl::OkStatus();
}

absl::Status Server::OpenStorage() {
  // The directory first: a second process must not take the first one's ports, or its port file.
  NARU_ASSIGN_OR_RETURN(directory_, DataDirectory::Open(options_.data_dir, PosixFileSystem()));
  if (!options_.port_file.empty() && PosixFileSystem().Exists(options_.port_file)) {
    NARU_RETURN_IF_ERROR(PosixFileSystem().Remove(options_.port_file));
  }
  NARU_RETURN_IF_ERROR(StartHttp());
  events_.Write(Severity::kInfo, "starting",
                {{"version", kVersion},
                 {"data_dir", options_.data_dir},
                 {"memory_limit", FormatSize(plan_.limit_bytes)},
                 {"http", http_ ? http_->address().ToString() : "off"}});
  NARU_ASSIGN_OR_RETURN(metadata_, OpenRocksMapStore(directory_->metadata_path()));
  NARU_ASSIGN_OR_RETURN(store_, PartitionStore::Open(store_options_, PosixFileSystem(), clock_, events_));
  return absl::OkStatus();
}

absl::Status Server::StartCoordinator() {
  const bool salvaged = PosixFileSystem().Exists(directory_->salvaged_mark_path());
  cluster::CoordinatorOptions options;
  options.limits.partitions_total_max = options_.max_partitions;
  options.limits.record_bytes_max = static_cast<int32_t>(options_.max_batch_bytes);
  options.queued_requests_max = static_cast<size_t>(options_.max_queued_topic_requests);
  options.advertised_address = options_.advertise;
  options.lost_logs_allowed = salvaged;
  coordinator_ = std::make_unique<cluster::TopicCoordinator>(options, *metadata_, *store_, clock_, events_);
  NARU_RETURN_IF_ERROR(coordinator_->Start());
  if (salvaged) NARU_RETURN_IF_ERROR(PosixFileSystem().Remove(directory_->salvaged_mark_path()));
  return absl::OkStatus();
}

void Server::StartGroups() {
  cluster::GroupCoordinatorOptions options;
  options.limits = options_.groups;
  options.groups_max = options_.max_groups;
  options.memory_bytes = plan_.groups_bytes;
  options.queued_requests_max = static_cast<size_t>(options_.max_queued_group_requests);
  const auto make_topic = [this](absl::AnyInvocable<void(absl::Status)> done) {
    naru::v1::CreateTopicRequest request;
    request.set_name(std::string(cluster::kOffsetsTopic));
    request.set_partition_count(static_cast<int32_t>(options_.offsets_partitions));
    request.mutable_config()->set_cleanup_policy(naru::v1::CLEANUP_POLICY_COMPACT);
    coordinator_->CreateInternalTopic(std::move(request), std::move(done));
  };
  groups_ = std::make_unique<cluster::GroupCoordinator>(options, *store_, *coordinator_, clock_, events_,
                                                        make_topic);
  groups_->Start();
}

void Server::MakeServices() {
  executor_ = std::make_unique<Executor>(kExecutorThreads);

  produce_ = std::make_unique<BoundedProduceService>(call_limit_, *store_, *coordinator_, *executor_, clock_,
                                                     options_.ProduceConfiguration());
  consume_ = std::make_unique<BoundedConsumeService>(call_limit_, *store_, *coordinator_, *executor_, clock_,
                                                     options_.ConsumeConfiguration());
  admin_ = std::make_unique<BoundedAdminService>(call_limit_, *coordinator_, *store_);

  ClusterServiceOptions cluster;
  cluster.message_bytes_max = options_.max_message_bytes;
  cluster.pending_bytes_max = options_.MetadataMemoryBytes();
  cluster.watches_max = static_cast<size_t>(options_.max_metadata_watches);
  cluster_ = std::make_unique<BoundedClusterService>(
      call_limit_, *coordinator_, [this] { return DescribeBroker(); }, cluster);
  GroupServiceOptions group;
  group.pollers_max = static_cast<size_t>(options_.max_pollers);
  group_ = std::make_unique<BoundedGroupService>(call_limit_, consume_->context(), *groups_, group);
  transaction_ = std::make_unique<BoundedTransactionService>(call_limit_, *coordinator_);
  lag_ = LagMonitor::Start(options_.lag, *groups_, *coordinator_, *store_, *executor_, clock_);
  metrics_.Attach({.store = store_.get(),
                   .catalog = coordinator_.get(),
                   .produce = produce_.get(),
                   .consume = consume_.get(),
                   .group = group_.get(),
                   .groups = groups_.get(),
                   .lag = lag_.get()});
}

absl::Status Server::Listen() {
  NARU_ASSIGN_OR_RETURN(const HostPort address, ParseHostPort(options_.listen));
  const GrpcListenerOptions options{
      .address = address,
      .receive_bytes_max = std::max(kReceiveBytesMin, options_.max_batch_bytes + kRequestOverheadBytes),
      .quota_bytes = plan_.GrpcQuotaBytes(),
      .stream_window_bytes = plan_.StreamWindowBytes(),
      .streams_per_connection_max = options_.max_streams_per_connection,
      .idle_connection_timeout_ms = options_.idle_connection_timeout_ms,
  };
  NARU_ASSIGN_OR_RETURN(listener_, StartGrpcListener(options,
                                                     {produce_.get(), consume_.get(), admin_.get(),
                                                      cluster_.get(), group_.get(), transaction_.get()},
                                                     calls_));
  if (options_.advertise.empty()) {
    if (IsWildcard(listener_.address.host)) {
      events_.Write(Severity::kWarning, "wildcard_advertised",
                    {{"address", listener_.address.ToString()},
                     {"advice", "clients elsewhere cannot use it; set --advertise"}});
    }
    NARU_RETURN_IF_ERROR(coordinator_->Advertise(listener_.address.ToString()));
  }
  return absl::OkStatus();
}

absl::Status Server::Announce() {
  health_.SetStorageFull(store_->Stats().storage_full);
  health_.Serve(listener_.server->GetHealthCheckService(), ServiceNames());
  watch_ = std::thread([this] { Watch(); });
  const std::string address = listener_.address.ToString();
  const std::string http = http_ ? http_->address().ToString() : "off";
  if (!options_.port_file.empty()) {
    NARU_RETURN_IF_ERROR(ReplaceFile(PosixFileSystem(), options_.port_file, AddressLines()));
  }
  events_.Write(Severity::kInfo, "listening",
                {{"address", address},
                 {"http", http},
                 {"topics", coordinator_->Current()->topics.size()},
                 {"elapsed_ms", clock_.NowMs() - start_time_ms_}});
  return absl::OkStatus();
}

std::string Server::AddressLines() const {
  return absl::StrCat("listen=", listener_.address.ToString(),
                      "\nhttp=", http_ ? http_->address().ToString() : "off", "\n");
}

naru::v1::BrokerState Server::DescribeBroker() const {
  const StoreStats stats = store_->Stats();
  naru::v1::BrokerState state;
  state.set_version(std::string(kVersion));
  state.set_uptime_seconds((clock_.NowMs() - start_time_ms_) / 1000);
  state.set_segment_bytes(stats.segment_bytes);
  state.set_live_bytes(stats.live_bytes);
  state.set_disk_available_bytes(stats.disk_available_bytes);
  state.set_disk_total_bytes(stats.disk_total_bytes);
  state.set_storage_full(stats.storage_full);
  return state;
}

void Server::Watch() {
  while (!stopping_.WaitForNotificationWithTimeout(kWatchInterval)) {
    health_.SetStorageFull(store_->Stats().storage_full);
    if (ReadResidentBytes() > plan_.limit_bytes / 100 * kFullMemoryPercent) {
      metrics_.CountMemoryReturn();
      ReturnFreeMemory();
    }
  }
}

void Server::WaitForCalls(int64_t timeout_ms) {
  const int64_t end_ns = clock_.MonotonicNs() + timeout_ms * 1'000'000;
  while (calls_.InProgress() > 0 && clock_.MonotonicNs() < end_ns) absl::SleepFor(kDrainPoll);
}

void Server::Shutdown(int64_t drain_timeout_ms) {
  if (stopping_.HasBeenNotified()) return;
  stopping_.Notify();
  if (watch_.joinable()) watch_.join();
  health_.Drain();
  if (produce_) produce_->Shutdown();
  if (consume_) consume_->Shutdown();
  if (group_) group_->Shutdown();
  if (admin_) admin_->Shutdown();
  if (cluster_) cluster_->Shutdown();
  if (transaction_) transaction_->Shutdown();
  if (listener_.server) {
    WaitForCalls(drain_timeout_ms);
    // What is left now are calls that did not end in time, and health watches, which never end by themselves.
    listener_.server->Shutdown(std::chrono::system_clock::now());
    listener_.server->Wait();
  }
  metrics_.Detach();
  if (lag_) lag_->Stop();
  if (groups_) groups_->Stop();
  if (coordinator_) coordinator_->Stop();
  if (store_) store_->Stop();
  if (executor_) executor_->Stop();
  http_.reset();
}

}  // namespace naru::services
