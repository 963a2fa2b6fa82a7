#include "services/cluster/cluster_service.h"

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cluster/metadata/broker_errors.h"
#include "services/rpc/message_call.h"
#include "services/rpc/parse_message.h"
#include "services/rpc/status.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::services {
namespace {

// The topics that a request names. Both requests have the same one field.
template <typename Request>
absl::StatusOr<std::vector<std::string>> ReadNames(const grpc::ByteBuffer& bytes) {
  Request request;
  NARU_RETURN_IF_ERROR(ParseMessage(bytes, request));
  std::vector<std::string> names(request.topics().begin(), request.topics().end());
  NARU_RETURN_IF_ERROR(MetadataSnapshots::ValidateNames(names));
  return names;
}

// Who leads the partitions that were asked about.
void AddLeaders(const cluster::TopicInfo& topic, const naru::v1::ElectLeadersRequest& request,
                naru::v1::ElectLeadersResponse& response) {
  const std::set<int32_t> asked(request.partitions().begin(), request.partitions().end());
  for (int32_t i = 0; i < topic.partition_count(); ++i) {
    if (!asked.empty() && !asked.contains(i)) continue;
    const cluster::PartitionPlacement& placement = topic.partitions[static_cast<size_t>(i)];
    naru::v1::PartitionMetadata& partition = *response.add_partitions();
    partition.set_partition(i);
    partition.set_leader(placement.leader.value());
    partition.set_leader_epoch(placement.leader_epoch.value());
  }
}

void SetBroker(const cluster::BrokerInfo& broker, naru::v1::BrokerState& state) {
  state.mutable_broker()->set_broker_id(broker.id.value());
  state.mutable_broker()->set_address(broker.address);
}

}  // namespace

ClusterService::ClusterService(cluster::TopicChanger& topics, DescribeBroker describe,
                               ClusterServiceOptions options)
    : topics_(topics),
      describe_(std::move(describe)),
      snapshots_(options.message_bytes_max, options.pending_bytes_max),
      broadcaster_(topics, snapshots_, options.watches_max) {}

void ClusterService::Shutdown() {
  stopping_.store(true, std::memory_order_relaxed);
  broadcaster_.Shutdown();
}

absl::Status ClusterService::CheckRunning() const {
  if (!stopping_.load(std::memory_order_relaxed)) return absl::OkStatus();
  return cluster::BrokerShuttingDown();
}

grpc::ServerUnaryReactor* ClusterService::GetMetadata(grpc::CallbackServerContext* context,
                                                      const grpc::ByteBuffer* request,
                                                      grpc::ByteBuffer* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(Answer(*request, *response), *context));
  return reactor;
}

absl::Status ClusterService::Answer(const grpc::ByteBuffer& request, grpc::ByteBuffer& response) {
  NARU_RETURN_IF_ERROR(CheckRunning());
  NARU_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                        ReadNames<naru::v1::GetMetadataRequest>(request));
  NARU_ASSIGN_OR_RETURN(const auto snapshot, snapshots_.Make(*topics_.Current(), names));
  response = snapshot->bytes;
  return absl::OkStatus();
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* ClusterService::WatchMetadata(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) {
  auto names = ReadNames<naru::v1::WatchMetadataRequest>(*request);
  if (!names.ok()) return MetadataBroadcaster::Refuse(context, names.status());
  return broadcaster_.Open(context, *std::move(names));
}

grpc::ServerUnaryReactor* ClusterService::DescribeCluster(grpc::CallbackServerContext* context,
                                                          const grpc::ByteBuffer* request,
                                                          grpc::ByteBuffer* response) {
  MessageCall<naru::v1::DescribeClusterRequest, naru::v1::DescribeClusterResponse> call(*context, *response);
  absl::Status status = CheckRunning();
  if (status.ok()) status = call.Parse(*request);
  if (status.ok()) Describe(call.response());
  call.Finish(status);
  return call.reactor();
}

grpc::ServerUnaryReactor* ClusterService::ElectLeaders(grpc::CallbackServerContext* context,
                                                       const grpc::ByteBuffer* request,
                                                       grpc::ByteBuffer* response) {
  const auto call =
      std::make_shared<MessageCall<naru::v1::ElectLeadersRequest, naru::v1::ElectLeadersResponse>>(*context,
                                                                                                   *response);
  absl::Status status = CheckRunning();
  if (status.ok()) status = call->Parse(*request);
  if (!status.ok()) {
    call->Finish(status);
    return call->reactor();
  }
  topics_.ElectLeaders(call->request(),
                       [call](absl::StatusOr<std::shared_ptr<const cluster::TopicInfo>> topic) {
                         if (topic.ok() && *topic == nullptr) {
                           topic = cluster::TopicDeleted(call->request().topic());
                         }
                         if (topic.ok()) AddLeaders(**topic, call->request(), call->response());
                         call->Finish(topic.status());
                       });
  return call->reactor();
}

void ClusterService::Describe(naru::v1::DescribeClusterResponse& response) const {
  const std::shared_ptr<const cluster::TopicCatalog> catalog = topics_.Current();
  response.set_cluster_id(catalog->cluster_id);
  response.set_topic_count(static_cast<int64_t>(catalog->topics.size()));
  const cluster::PartitionCounts counts = cluster::CountPartitions(*catalog);
  response.set_partition_count(counts.partitions);
  response.set_under_replicated_partition_count(counts.under_replicated);
  response.set_offline_partition_count(counts.offline);
  for (const cluster::BrokerInfo& broker : catalog->brokers) {
    naru::v1::BrokerState* state = response.add_brokers();
    if (broker.id == catalog->self) *state = describe_();
    SetBroker(broker, *state);
  }
  for (const cluster::BrokerInfo& broker : catalog->away) {
    naru::v1::BrokerState* state = response.add_brokers();
    state->set_away(true);
    SetBroker(broker, *state);
  }
  std::sort(response.mutable_brokers()->begin(), response.mutable_brokers()->end(),
            [](const auto& a, const auto& b) { return a.broker().broker_id() < b.broker().broker_id(); });
}

}  // namespace naru::services
