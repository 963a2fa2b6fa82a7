// naru.v1.ClusterService: where things are. See proto/naru/v1/cluster.proto for the contract.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>

#include "cluster/metadata/topic_catalog.h"
#include "cluster/metadata/topic_changer.h"
#include "naru/v1/cluster.grpc.pb.h"
#include "services/cluster/metadata_broadcaster.h"
#include "services/cluster/metadata_snapshot.h"

namespace naru::services {

struct ClusterServiceOptions {
  // Of one answer.
  int64_t message_bytes_max = 3'670'016;
  // Of all answers that clients have not taken yet.
  int64_t pending_bytes_max = int64_t{64} << 20;
  // WatchMetadata streams at a time.
  size_t watches_max = 1'000;
};

// Thread-safe; its calls run on gRPC's threads and do not block. Snapshots travel as bytes that are made
// once.
class ClusterService : public naru::v1::ClusterService::WithRawCallbackMethod_GetMetadata<
                           naru::v1::ClusterService::WithRawCallbackMethod_WatchMetadata<
                               naru::v1::ClusterService::WithRawCallbackMethod_DescribeCluster<
                                   naru::v1::ClusterService::WithRawCallbackMethod_ElectLeaders<
                                       naru::v1::ClusterService::Service>>>> {
 public:
  // How this broker is, all but `broker`, which comes from the catalog. Called on gRPC's threads; must not
  // block.
  using DescribeBroker = std::function<naru::v1::BrokerState()>;

  // The changer of topics outlives the service, and the service the gRPC server that it is registered with.
  ClusterService(cluster::TopicChanger& topics, DescribeBroker describe, ClusterServiceOptions options = {});

  // Ends the streams, and every call from now on, with SHUTTING_DOWN. Before the server's Shutdown().
  // Idempotent.
  void Shutdown();

  grpc::ServerUnaryReactor* GetMetadata(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                        grpc::ByteBuffer* response) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* WatchMetadata(grpc::CallbackServerContext* context,
                                                            const grpc::ByteBuffer* request) override;
  grpc::ServerUnaryReactor* DescribeCluster(grpc::CallbackServerContext* context,
                                            const grpc::ByteBuffer* request,
                                            grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* ElectLeaders(grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer* request,
                                         grpc::ByteBuffer* response) override;

 private:
  absl::Status CheckRunning() const;
  absl::Status Answer(const grpc::ByteBuffer& request, grpc::ByteBuffer& response);
  void Describe(naru::v1::DescribeClusterResponse& response) const;

  cluster::TopicChanger& topics_;
  const DescribeBroker describe_;
  MetadataSnapshots snapshots_;
  MetadataBroadcaster broadcaster_;
  std::atomic<bool> stopping_{false};
};

}  // namespace naru::services
