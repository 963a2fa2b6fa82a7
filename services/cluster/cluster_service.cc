#include "services/cluster/cluster_service.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

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

}  // namespace

ClusterService::ClusterService(cluster::CatalogSource& catalog, DescribeBroker describe,
                               ClusterServiceOptions options)
    : catalog_(catalog),
      describe_(std::move(describe)),
      snapshots_(options.message_bytes_max, options.pending_bytes_max),
      broadcaster_(catalog, snapshots_, options.watches_max) {}

void ClusterService::Shutdown() {
  stopping_.store(true, std::memory_order_relaxed);
  broadcaster_.Shutdown();
}

absl::Status ClusterService::CheckRunning() const {
  if (!stopping_.load(std::memory_order_relaxed)) return absl::OkStatus();
  return MakeError(Reason::kShuttingDown, "the broker is shutting down; try again, or another broker");
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
  NARU_ASSIGN_OR_RETURN(const auto snapshot, snapshots_.Make(*catalog_.Current(), names));
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

void ClusterService::Describe(naru::v1::DescribeClusterResponse& response) const {
  const std::shared_ptr<const cluster::TopicCatalog> catalog = catalog_.Current();
  response.set_cluster_id(catalog->cluster_id);
  response.set_topic_count(static_cast<int64_t>(catalog->topics.size()));
  int64_t partitions = 0;
  for (const auto& [name, topic] : catalog->topics) partitions += topic->partition_count();
  response.set_partition_count(partitions);
  for (const cluster::BrokerInfo& broker : catalog->brokers) {
    naru::v1::BrokerState* state = response.add_brokers();
    if (broker.id == catalog->self) *state = describe_();
    state->mutable_broker()->set_broker_id(broker.id.value());
    state->mutable_broker()->set_address(broker.address);
  }
}

}  // namespace naru::services
