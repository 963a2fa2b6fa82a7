// naru.v1.AdminService: topics made, described, changed and deleted. See proto/naru/v1/admin.proto for the
// contract.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <memory>

#include "cluster/metadata/topic_changer.h"
#include "naru/v1/admin.grpc.pb.h"
#include "services/rpc/message_call.h"
#include "storage/log/log_store.h"

namespace naru::services {

// All methods raw: see MessageCall.
template <typename Base>
using RawTopicMethods = naru::v1::AdminService::WithRawCallbackMethod_CreateTopic<
    naru::v1::AdminService::WithRawCallbackMethod_GetTopic<
        naru::v1::AdminService::WithRawCallbackMethod_ListTopics<
            naru::v1::AdminService::WithRawCallbackMethod_UpdateTopic<
                naru::v1::AdminService::WithRawCallbackMethod_DeleteTopic<Base>>>>>;
template <typename Base>
using RawPartitionMethods = naru::v1::AdminService::WithRawCallbackMethod_CreatePartitions<
    naru::v1::AdminService::WithRawCallbackMethod_DeleteRecords<Base>>;

// Thread-safe; its calls run on gRPC's threads and never wait for the disk: changes are queued at the
// coordinator and answered from its thread. It keeps no state of its own.
class AdminService : public RawTopicMethods<RawPartitionMethods<naru::v1::AdminService::Service>> {
 public:
  // Both outlive the gRPC server that this is registered with.
  AdminService(cluster::TopicChanger& topics, LogStore& logs) : topics_(topics), logs_(logs) {}

  // Calls that come from now on fail with SHUTTING_DOWN; those under way end by themselves. Idempotent.
  void Shutdown() { stopping_.store(true, std::memory_order_relaxed); }

  grpc::ServerUnaryReactor* CreateTopic(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                        grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* GetTopic(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* ListTopics(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                       grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* UpdateTopic(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                        grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* DeleteTopic(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                        grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* CreatePartitions(grpc::CallbackServerContext* context,
                                             const grpc::ByteBuffer* request,
                                             grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* DeleteRecords(grpc::CallbackServerContext* context,
                                          const grpc::ByteBuffer* request,
                                          grpc::ByteBuffer* response) override;

 private:
  // Parses the request and hands the call on, unless it is refused here.
  template <typename Request, typename Response, typename Work>
  grpc::ServerUnaryReactor* Serve(grpc::CallbackServerContext& context, const grpc::ByteBuffer& request,
                                  grpc::ByteBuffer& response, Work work);
  // OK, or SHUTTING_DOWN.
  absl::Status CheckRunning() const;
  using GetTopicCall = MessageCall<naru::v1::GetTopicRequest, naru::v1::GetTopicResponse>;
  class Description;
  void Describe(const std::shared_ptr<GetTopicCall>& call);

  cluster::TopicChanger& topics_;
  LogStore& logs_;
  std::atomic<bool> stopping_{false};
};

}  // namespace naru::services
