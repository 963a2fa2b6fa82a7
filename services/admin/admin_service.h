// naru.v1.AdminService: topics made, described, changed and deleted. See proto/naru/v1/admin.proto for the
// contract.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>

#include "cluster/coordinator/topic_coordinator.h"
#include "naru/v1/admin.grpc.pb.h"
#include "storage/log/log_store.h"

namespace naru::services {

// Thread-safe; its calls run on gRPC's threads and never wait for the disk: changes are queued at the
// coordinator and answered from its thread. It keeps no state of its own.
class AdminService final : public naru::v1::AdminService::CallbackService {
 public:
  // Both outlive the gRPC server that this is registered with.
  AdminService(cluster::TopicCoordinator& coordinator, LogStore& logs)
      : coordinator_(coordinator), logs_(logs) {}

  // Calls that come from now on fail with SHUTTING_DOWN; those under way end by themselves. Idempotent.
  void Shutdown() { stopping_.store(true, std::memory_order_relaxed); }

  grpc::ServerUnaryReactor* CreateTopic(grpc::CallbackServerContext* context,
                                        const naru::v1::CreateTopicRequest* request,
                                        naru::v1::CreateTopicResponse* response) override;
  grpc::ServerUnaryReactor* GetTopic(grpc::CallbackServerContext* context,
                                     const naru::v1::GetTopicRequest* request,
                                     naru::v1::GetTopicResponse* response) override;
  grpc::ServerUnaryReactor* ListTopics(grpc::CallbackServerContext* context,
                                       const naru::v1::ListTopicsRequest* request,
                                       naru::v1::ListTopicsResponse* response) override;
  grpc::ServerUnaryReactor* UpdateTopic(grpc::CallbackServerContext* context,
                                        const naru::v1::UpdateTopicRequest* request,
                                        naru::v1::UpdateTopicResponse* response) override;
  grpc::ServerUnaryReactor* DeleteTopic(grpc::CallbackServerContext* context,
                                        const naru::v1::DeleteTopicRequest* request,
                                        naru::v1::DeleteTopicResponse* response) override;
  grpc::ServerUnaryReactor* CreatePartitions(grpc::CallbackServerContext* context,
                                             const naru::v1::CreatePartitionsRequest* request,
                                             naru::v1::CreatePartitionsResponse* response) override;
  grpc::ServerUnaryReactor* DeleteRecords(grpc::CallbackServerContext* context,
                                          const naru::v1::DeleteRecordsRequest* request,
                                          naru::v1::DeleteRecordsResponse* response) override;

 private:
  // OK, or SHUTTING_DOWN.
  absl::Status CheckRunning() const;
  absl::Status Describe(const naru::v1::GetTopicRequest& request, naru::v1::Topic& topic) const;

  cluster::TopicCoordinator& coordinator_;
  LogStore& logs_;
  std::atomic<bool> stopping_{false};
};

}  // namespace naru::services
