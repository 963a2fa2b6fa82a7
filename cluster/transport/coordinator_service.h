// naru.internal.v1.CoordinatorService: what brokers ask of a coordinator. The process outlives the gRPC
// server.
#pragma once

#include <grpcpp/grpcpp.h>

#include "cluster/coordinator/coordinator_process.h"
#include "naru/internal/v1/coordinator.grpc.pb.h"

namespace naru::cluster {

class CoordinatorService final : public naru::internal::v1::CoordinatorService::CallbackService {
 public:
  explicit CoordinatorService(CoordinatorProcess& process) : process_(process) {}

  grpc::ServerBidiReactor<naru::internal::v1::AttendRequest, naru::internal::v1::AttendResponse>* Attend(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* ChangeTopics(grpc::CallbackServerContext* context,
                                         const naru::internal::v1::ChangeTopicsRequest* request,
                                         naru::internal::v1::ChangeTopicsResponse* response) override;

 private:
  CoordinatorProcess& process_;
};

}  // namespace naru::cluster
