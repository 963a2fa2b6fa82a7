#include "services/server/cluster_member.h"

#include <chrono>
#include <utility>
#include <vector>

#include "services/server/event_logger.h"
#include "services/server/listen_error.h"
#include "services/server/option_values.h"
#include "storage/base/status.h"

namespace naru::services {
namespace {

// Of other members: they ping every second, and are gone when they do not answer for as long.
constexpr int kPeerPingIntervalMsMin = 500;
constexpr int kPeerKeepaliveMs = 1'000;
// Until the other end of a connection has noticed that nobody hears it: from a ping that was answered, its
// answer, the next ping, no answer to that.
constexpr int64_t kSilenceMsMax = 3'000;
// A topic's partitions are written in one transaction; etcd takes so many.
constexpr int32_t kPartitionsPerTopicMax = 5'000;

}  // namespace

naru::v1::CreateTopicRequest OffsetsTopicRequest(const ServerOptions& options) {
  naru::v1::CreateTopicRequest request;
  request.set_name(std::string(cluster::kOffsetsTopic));
  request.set_partition_count(static_cast<int32_t>(options.offsets_partitions));
  request.mutable_config()->set_cleanup_policy(naru::v1::CLEANUP_POLICY_COMPACT);
  return request;
}

absl::StatusOr<std::unique_ptr<ClusterMember>> ClusterMember::Open(
    const ServerOptions& options, const cluster::GroupCoordinatorOptions& groups, LogStore* store,
    OrderedMapStore* metadata, const Clock& clock, EventLog& events) {
  auto member = std::unique_ptr<ClusterMember>(new ClusterMember(options, clock, events));
  if (options.cluster.is_broker()) NARU_RETURN_IF_ERROR(member->MakeBroker(groups, *store, *metadata));
  if (options.cluster.is_coordinator()) NARU_RETURN_IF_ERROR(member->MakeCoordinator());
  NARU_RETURN_IF_ERROR(member->Listen());
  if (member->coordinator_) member->coordinator_->Start(member->address_);
  return member;
}

ClusterMember::~ClusterMember() { Stop(); }

absl::Status ClusterMember::MakeBroker(const cluster::GroupCoordinatorOptions& groups, LogStore& store,
                                       OrderedMapStore& metadata) {
  metadata_ = &metadata;
  NARU_ASSIGN_OR_RETURN(identity_, cluster::LoadOrMakeBrokerIdentity(
                                       metadata, BrokerId(static_cast<int32_t>(options_.cluster.broker_id))));
  cluster::BrokerProcessOptions options;
  options.broker = identity_.broker;
  options.incarnation = identity_.incarnation;
  options.cluster_id = identity_.cluster_id;
  options.heartbeat_ms = std::max<int64_t>(1, options_.broker_session_ms / 8);
  options.replicas.replication.lag_ms_max = options_.replica_lag_ms;
  options.replicas.catch_up_bytes_per_second = options_.cluster.catch_up_bytes_per_second;
  broker_ = std::make_unique<cluster::BrokerProcess>(
      options, store, links_, clock_, events_,
      [this](const std::string& cluster_id) { OnRegistered(cluster_id); });
  const auto make_topic = [this](cluster::TopicChanger::Done done) {
    broker_->CreateInternalTopic(OffsetsTopicRequest(options_), std::move(done));
  };
  // It writes only what this broker leads: one that was deposed must not have its writes forwarded.
  cluster::GroupCoordinatorOptions own = groups;
  own.in_cluster = true;
  own.confirm = [broker = broker_.get()](LogId log, LeaderEpoch epoch, auto done) {
    broker->Confirm(log, epoch, std::move(done));
  };
  own.limits.unheard_grace_ms = own.unconfirmed_ms_max + kSilenceMsMax;
  group_coordinator_ = std::make_unique<cluster::GroupCoordinator>(own, broker_->led_logs(), *broker_, clock_,
                                                                   events_, make_topic);
  cluster_groups_ = std::make_unique<cluster::ClusterGroups>(*group_coordinator_, *broker_, links_, clock_);
  broker_->OnAddress(
      [this](BrokerId broker, const std::string& address) { cluster_groups_->SetAddress(broker, address); });
  group_coordinator_->Start();
  peer_service_ = std::make_unique<cluster::PeerService>(*broker_, *group_coordinator_);
  return absl::OkStatus();
}

// On the broker's thread: a moment of waiting for the disk, once in a directory's life.
void ClusterMember::OnRegistered(const std::string& cluster_id) {
  if (identity_.cluster_id == cluster_id) return;
  identity_.cluster_id = cluster_id;
  if (const absl::Status written = cluster::WriteBrokerIdentity(*metadata_, identity_); !written.ok()) {
    events_.Write(Severity::kError, "cluster_id_not_kept", {{"error", written.ToString()}});
  }
}

absl::Status ClusterMember::MakeCoordinator() {
  NARU_ASSIGN_OR_RETURN(cluster::EtcdOptions etcd,
                        cluster::ParseEtcdUrl("--metadata", options_.cluster.metadata));
  etcd_ = std::make_unique<cluster::EtcdClusterStore>(std::move(etcd), clock_, events_);
  cluster::CoordinatorProcessOptions options;
  options.machine.broker_session_ms = options_.broker_session_ms;
  options.machine.rebalance_ms = options_.leader_rebalance_ms;
  options.machine.limits.partitions_total_max = options_.max_partitions;
  options.machine.limits.partitions_per_topic_max = kPartitionsPerTopicMax;
  options.machine.limits.record_bytes_max = static_cast<int32_t>(options_.max_batch_bytes);
  coordinator_ = std::make_unique<cluster::CoordinatorProcess>(options, *etcd_, clock_, events_);
  coordinator_service_ = std::make_unique<cluster::CoordinatorService>(*coordinator_);
  return absl::OkStatus();
}

absl::Status ClusterMember::Listen() {
  NARU_ASSIGN_OR_RETURN(HostPort address, ParseHostPort(options_.cluster.peer_listen));
  grpc::ServerBuilder builder;
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kPeerPingIntervalMsMin);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kPeerKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kPeerKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.SetMaxReceiveMessageSize(-1);
  builder.SetMaxSendMessageSize(-1);
  int port = 0;
  builder.AddListeningPort(address.ToString(), grpc::InsecureServerCredentials(), &port);
  if (peer_service_) builder.RegisterService(peer_service_.get());
  if (coordinator_service_) builder.RegisterService(coordinator_service_.get());
  const LibraryLogPause pause;  // ListenError says it better
  server_ = builder.BuildAndStart();
  if (server_ == nullptr || port <= 0) return ListenError("peer-listen", address);
  address.port = port;
  address_ = options_.cluster.peer_advertise.empty() ? address.ToString() : options_.cluster.peer_advertise;
  return absl::OkStatus();
}

void ClusterMember::Attend(const std::string& client_address) {
  std::vector<std::string> coordinators = options_.cluster.CoordinatorAddresses();
  if (coordinators.empty()) coordinators.push_back(address_);
  broker_->Start({.client = client_address, .peer = address_, .coordinators = std::move(coordinators)});
}

ClusterMemberSnapshot ClusterMember::Snapshot() const {
  ClusterMemberSnapshot snapshot;
  if (broker_) snapshot.broker = broker_->Snapshot();
  if (coordinator_) snapshot.coordinator = coordinator_->Snapshot();
  if (etcd_) snapshot.etcd = etcd_->Stats();
  return snapshot;
}

void ClusterMember::Stop() {
  if (std::exchange(stopped_, true)) return;
  if (broker_) {
    cluster_groups_->Shutdown();
    broker_->Stop();
    group_coordinator_->Stop();
  }
  if (coordinator_) coordinator_->Stop();
  if (server_) {
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
  }
}

}  // namespace naru::services
