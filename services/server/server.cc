#include "services/server/server.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <utility>
#include <vector>

#include "services/server/allocator.h"
#include "services/server/bounded_services.h"
#include "services/server/build_info.h"
#include "services/server/damaged_store.h"
#include "services/server/process_usage.h"
#include "storage/base/files.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"
#include "storage/index/rocks_map_store.h"

namespace naru::services {
namespace {

constexpr absl::Duration kWatchInterval = absl::Milliseconds(50);
// Looking costs more than all else that a hub at rest does: it rests when nobody calls, its memory changes by
// less than so much from one look to the next, and half of the limit is free.
constexpr absl::Duration kRestingWatchInterval = absl::Milliseconds(400);
constexpr int64_t kRestingBytes = 1 << 20;
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

// The databases in the directory cannot be opened without writing.
constexpr uint64_t kStartBytesMin = 1 << 20;

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
  const bool in_cluster = options.cluster.in_cluster();
  if (options.cluster.is_broker()) {
    NARU_RETURN_IF_ERROR(server->OpenStorage());
  } else {
    NARU_RETURN_IF_ERROR(server->StartHttp());
  }
  NARU_RETURN_IF_ERROR(in_cluster ? server->JoinCluster() : server->StartCoordinator());
  if (options.cluster.is_broker()) {
    if (!in_cluster) server->StartGroups();
    server->MakeServices();
    NARU_RETURN_IF_ERROR(server->Listen());
  }
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
  if (options_.cluster.in_cluster()) {
    // What has made an older record go must not be taken away itself when the leader changes.
    store_options_.committed_end = [this](LogId log) {
      const cluster::BrokerProcess* broker = committed_of_.load(std::memory_order_acquire);
      return broker == nullptr ? Offset(0) : broker->CommittedEnd(log);
    };
  }
  // The directory first: a second process must not take the first one's ports, or its port file.
  NARU_ASSIGN_OR_RETURN(directory_, DataDirectory::Open(options_.data_dir, PosixFileSystem()));
  NARU_ASSIGN_OR_RETURN(const DiskSpace space, PosixFileSystem().Space(options_.data_dir));
  if (space.available_bytes < kStartBytesMin) {
    return absl::ResourceExhaustedError(absl::StrCat("--data-dir: no space left on the disk of ",
                                                     options_.data_dir, ": ", space.available_bytes,
                                                     " bytes are available, and ", kStartBytesMin,
                                                     " are needed to open what is there; make room and start "
                                                     "again"));
  }
  if (!options_.port_file.empty() && PosixFileSystem().Exists(options_.port_file)) {
    NARU_RETURN_IF_ERROR(PosixFileSystem().Remove(options_.port_file));
  }
  NARU_RETURN_IF_ERROR(StartHttp());
  events_.Write(Severity::kInfo, "starting",
                {{"version", kVersion},
                 {"data_dir", options_.data_dir},
                 {"memory_limit", FormatSize(plan_.limit_bytes)},
                 {"http", http_ ? http_->address().ToString() : "off"}});
  NARU_ASSIGN_OR_RETURN(metadata_, OpenRocksMapStore(directory_->metadata_path(), events_));
  auto opened = PartitionStore::Open(store_options_, PosixFileSystem(), clock_, events_);
  if (absl::IsDataLoss(opened.status()) && options_.cluster.in_cluster() &&
      options_.cluster.refetch_damaged) {
    const BrokerId broker(static_cast<int32_t>(options_.cluster.broker_id));
    NARU_RETURN_IF_ERROR(
        SetDamagedStoreAside(*directory_, broker, *metadata_, PosixFileSystem(), events_, opened.status()));
    opened = PartitionStore::Open(store_options_, PosixFileSystem(), clock_, events_);
  }
  NARU_RETURN_IF_ERROR(opened.status());
  store_ = *std::move(opened);
  return absl::OkStatus();
}

absl::Status Server::JoinCluster() {
  NARU_ASSIGN_OR_RETURN(
      member_, ClusterMember::Open(options_, GroupOptions(), store_.get(), metadata_.get(), clock_, events_));
  metrics_.AttachMember(member_.get());
  if (member_->broker() == nullptr) return absl::OkStatus();
  group_coordinator_ = &member_->group_coordinator();
  logs_ = &member_->broker()->logs();
  topics_ = member_->broker();
  committed_of_.store(member_->broker(), std::memory_order_release);
  call_limit_.Close();
  return absl::OkStatus();
}

absl::Status Server::StartCoordinator() {
  NARU_RETURN_IF_ERROR(cluster::CheckRunsAlone(*metadata_));
  const bool salvaged = PosixFileSystem().Exists(directory_->salvaged_mark_path());
  cluster::CoordinatorOptions options;
  options.limits.partitions_total_max = options_.max_partitions;
  options.limits.record_bytes_max = static_cast<int32_t>(options_.max_batch_bytes);
  options.queued_requests_max = static_cast<size_t>(options_.max_queued_topic_requests);
  options.advertised_address = options_.advertise;
  options.lost_logs_allowed = salvaged;
  coordinator_ = std::make_unique<cluster::TopicCoordinator>(options, *metadata_, *store_, clock_, events_);
  NARU_RETURN_IF_ERROR(coordinator_->Start());
  logs_ = store_.get();
  topics_ = coordinator_.get();
  if (salvaged) NARU_RETURN_IF_ERROR(PosixFileSystem().Remove(directory_->salvaged_mark_path()));
  return absl::OkStatus();
}

cluster::GroupCoordinatorOptions Server::GroupOptions() const {
  cluster::GroupCoordinatorOptions options;
  options.limits = options_.groups;
  options.groups_max = options_.max_groups;
  options.memory_bytes = plan_.groups_bytes;
  options.queued_requests_max = static_cast<size_t>(options_.max_queued_group_requests);
  return options;
}

void Server::StartGroups() {
  const auto make_topic = [this](absl::AnyInvocable<void(absl::Status)> done) {
    coordinator_->CreateInternalTopic(OffsetsTopicRequest(options_), std::move(done));
  };
  groups_ = std::make_unique<cluster::GroupCoordinator>(GroupOptions(), *store_, *coordinator_, clock_,
                                                        events_, make_topic);
  groups_->Start();
  group_coordinator_ = groups_.get();
}

void Server::MakeServices() {
  executor_ = std::make_unique<Executor>(kExecutorThreads);

  produce_ = std::make_unique<BoundedProduceService>(call_limit_, *logs_, *topics_, *executor_, clock_,
                                                     options_.ProduceConfiguration());
  consume_ = std::make_unique<BoundedConsumeService>(call_limit_, *logs_, *topics_, *executor_, clock_,
                                                     options_.ConsumeConfiguration());
  admin_ = std::make_unique<BoundedAdminService>(call_limit_, *topics_, *logs_);

  ClusterServiceOptions cluster;
  cluster.message_bytes_max = options_.max_message_bytes;
  cluster.pending_bytes_max = options_.MetadataMemoryBytes();
  cluster.watches_max = static_cast<size_t>(options_.max_metadata_watches);
  cluster_ = std::make_unique<BoundedClusterService>(
      call_limit_, *topics_, [this] { return DescribeBroker(); }, cluster);
  GroupServiceOptions group;
  group.pollers_max = static_cast<size_t>(options_.max_pollers);
  cluster::Groups& groups = member_ ? member_->groups() : *group_coordinator_;
  group_ = std::make_unique<BoundedGroupService>(call_limit_, consume_->context(), groups, group);
  cluster::ProducerRegistry& producers =
      member_ ? static_cast<cluster::ProducerRegistry&>(*member_->broker()) : *coordinator_;
  transaction_ = std::make_unique<BoundedTransactionService>(call_limit_, producers);
  lag_ = LagMonitor::Start(options_.lag, *group_coordinator_, *topics_, *logs_, *executor_, clock_);
  metrics_.Attach({.store = store_.get(),
                   .catalog = topics_,
                   .produce = produce_.get(),
                   .consume = consume_.get(),
                   .group = group_.get(),
                   .groups = group_coordinator_,
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
  std::string advertised = options_.advertise;
  if (options_.advertise.empty()) {
    if (IsWildcard(listener_.address.host)) {
      events_.Write(Severity::kWarning, "wildcard_advertised",
                    {{"address", listener_.address.ToString()},
                     {"advice", "clients elsewhere cannot use it; set --advertise"}});
    }
    advertised = listener_.address.ToString();
    if (coordinator_) NARU_RETURN_IF_ERROR(coordinator_->Advertise(advertised));
  }
  if (member_) member_->Attend(advertised);
  return absl::OkStatus();
}

absl::Status Server::Announce() {
  if (coordinator_) BeginServing();
  watch_ = std::thread([this] { Watch(); });
  const std::string address = listener_.address.ToString();
  const std::string http = http_ ? http_->address().ToString() : "off";
  if (!options_.port_file.empty()) {
    NARU_RETURN_IF_ERROR(ReplaceFile(PosixFileSystem(), options_.port_file, AddressLines()));
  }
  events_.Write(Severity::kInfo, "listening",
                {{"address", address},
                 {"http", http},
                 {"peer", member_ ? member_->address() : "off"},
                 {"topics", topics_ == nullptr ? 0 : topics_->Current()->topics.size()},
                 {"elapsed_ms", clock_.NowMs() - start_time_ms_}});
  return absl::OkStatus();
}

void Server::BeginServing() {
  call_limit_.Open();
  health_.SetStorageFull(store_ != nullptr && store_->Stats().storage_full);
  health_.Serve(listener_.server ? listener_.server->GetHealthCheckService() : nullptr, ServiceNames());
  serving_ = true;
}

std::string Server::AddressLines() const {
  return absl::StrCat(listener_.server ? absl::StrCat("listen=", listener_.address.ToString(), "\n") : "",
                      "http=", http_ ? http_->address().ToString() : "off", "\n",
                      member_ ? absl::StrCat("peer=", member_->address(), "\n") : "");
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
  if (member_ != nullptr) {
    if (const auto broker = member_->Snapshot().broker) state.set_coordinator(broker->coordinator);
  }
  return state;
}

void Server::Watch() {
  absl::Duration interval = kWatchInterval;
  int64_t resident_before = 0;
  while (!stopping_.WaitForNotificationWithTimeout(interval)) {
    // In a cluster there is nothing to serve before the first word of the coordinator.
    if (!serving_ && (topics_ == nullptr || member_->broker()->ready())) BeginServing();
    if (store_) health_.SetStorageFull(store_->Stats().storage_full);
    const int64_t resident = ReadResidentBytes();
    if (resident > plan_.limit_bytes / 100 * kFullMemoryPercent) {
      metrics_.CountMemoryReturn();
      ReturnFreeMemory();
    }
    const bool resting = serving_ && calls_.InProgress() == 0 && resident < plan_.limit_bytes / 2 &&
                         std::abs(resident - resident_before) < kRestingBytes;
    interval = resting ? std::min(2 * interval, kRestingWatchInterval) : kWatchInterval;
    resident_before = resident;
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
    // What still waits for other members does not wait for ever.
    if (member_) member_->Stop();
    // What is left now are calls that did not end in time, and health watches, which never end by themselves.
    listener_.server->Shutdown(std::chrono::system_clock::now());
    listener_.server->Wait();
  }
  metrics_.Detach();
  if (member_) member_->Stop();  // where no client was served
  if (lag_) lag_->Stop();
  if (groups_) groups_->Stop();
  if (coordinator_) coordinator_->Stop();
  if (store_) store_->Stop();
  if (executor_) executor_->Stop();
  http_.reset();
}

}  // namespace naru::services
