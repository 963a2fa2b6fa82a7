// naru.internal.v1.PeerService: what other brokers ask of this one. The process outlives the gRPC server.
#pragma once

#include <grpcpp/grpcpp.h>

#include "cluster/broker/broker_process.h"
#include "cluster/group/groups.h"
#include "naru/internal/v1/peer.grpc.pb.h"

namespace naru::cluster {

class PeerService final : public naru::internal::v1::PeerService::CallbackService {
 public:
  // `groups`: those that this broker coordinates.
  PeerService(BrokerProcess& process, cluster::Groups& groups) : process_(process), groups_(groups) {}

  grpc::ServerBidiReactor<naru::internal::v1::ReplicateRequest, naru::internal::v1::ReplicateResponse>*
  Replicate(grpc::CallbackServerContext* context) override;
  grpc::ServerBidiReactor<naru::internal::v1::ForwardRequest, naru::internal::v1::ForwardResponse>* Forward(
      grpc::CallbackServerContext* context) override;
  grpc::ServerBidiReactor<naru::internal::v1::GroupsRequest, naru::internal::v1::GroupsResponse>* Groups(
      grpc::CallbackServerContext* context) override;

 private:
  BrokerProcess& process_;
  cluster::Groups& groups_;
};

}  // namespace naru::cluster
