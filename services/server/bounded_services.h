// The services as the server registers them: a call that the limit of open calls refuses ends at once and
// never reaches its service. Threads as in the services.
#pragma once

#include <grpcpp/grpcpp.h>

#include <utility>

#include "services/admin/admin_service.h"
#include "services/cluster/cluster_service.h"
#include "services/consume/consume_service.h"
#include "services/group/group_service.h"
#include "services/produce/produce_service.h"
#include "services/rpc/status.h"
#include "services/server/call_limit.h"
#include "services/transaction/transaction_service.h"

namespace naru::services {

// Every method of `Service` must be overridden in terms of Unary or Stream. `limit` is told of calls by
// CallMetrics' interceptors and outlives the service.
template <typename Service>
class BoundedService : public Service {
 public:
  template <typename... Args>
  explicit BoundedService(const CallLimit& limit, Args&&... args)
      : Service(std::forward<Args>(args)...), limit_(limit) {}

 protected:
  using Context = grpc::CallbackServerContext;
  using Bytes = grpc::ByteBuffer;
  using UnaryReactor = grpc::ServerUnaryReactor;
  using WriteReactor = grpc::ServerWriteReactor<Bytes>;
  using BidiReactor = grpc::ServerBidiReactor<Bytes, Bytes>;

  template <typename Serve>
  UnaryReactor* Unary(Context* context, Serve serve) {
    const absl::Status status = limit_.Check(context);
    if (status.ok()) return serve();
    UnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(ToGrpcStatus(status, *context));
    return reactor;
  }
  template <typename Reactor, typename Serve>
  Reactor* Stream(Context* context, Serve serve) {
    const absl::Status status = limit_.Check(context);
    if (status.ok()) return serve();
    return new RefusedStream<Reactor>(ToGrpcStatus(status, *context));
  }

 private:
  template <typename Reactor>
  class RefusedStream final : public Reactor {
   public:
    explicit RefusedStream(grpc::Status status) { this->Finish(std::move(status)); }
    void OnDone() override { delete this; }
  };

  const CallLimit& limit_;
};

class BoundedProduceService final : public BoundedService<ProduceService> {
 public:
  using BoundedService::BoundedService;
  UnaryReactor* Produce(Context* context, const Bytes* request, Bytes* response) override {
    return Unary(context, [&] { return ProduceService::Produce(context, request, response); });
  }
  BidiReactor* ProduceStream(Context* context) override {
    return Stream<BidiReactor>(context, [&] { return ProduceService::ProduceStream(context); });
  }
};

class BoundedConsumeService final : public BoundedService<ConsumeService> {
 public:
  using BoundedService::BoundedService;
  UnaryReactor* Fetch(Context* context, const Bytes* request, Bytes* response) override {
    return Unary(context, [&] { return ConsumeService::Fetch(context, request, response); });
  }
  UnaryReactor* ListOffsets(Context* context, const Bytes* request, Bytes* response) override {
    return Unary(context, [&] { return ConsumeService::ListOffsets(context, request, response); });
  }
  BidiReactor* Subscribe(Context* context) override {
    return Stream<BidiReactor>(context, [&] { return ConsumeService::Subscribe(context); });
  }
};

class BoundedAdminService final : public BoundedService<AdminService> {
 public:
  using BoundedService::BoundedService;
  UnaryReactor* CreateTopic(Context* context, const Bytes* request, Bytes* response) override {
    return Unary(context, [&] { return AdminService::CreateTopic(context, request, response); });
  }
  UnaryReactor* GetTopic(Context* context, const Bytes* request, Bytes* response) override {
    return Unary(context, [&] { return AdminService::GetTopic(context, request, response); });
  }
  UnaryReactor* ListTopics(Context* context, const Bytes* request, Bytes* response) override {
    return Unary(context, [&] { return AdminService::ListTopics(context, request, response); });
  }
  UnaryReactor* UpdateTopic(Context* context, const Bytes* request, Bytes* response) override {
    return Unary(context, [&] { return AdminService::UpdateTopic(context, request, response); });
  }
  UnaryReactor* DeleteTopic(Context* context, const Bytes* request, Bytes* response) override {
    return Unary(context, [&] { return AdminService::DeleteTopic(context, request, response); });
  }
  UnaryReactor* CreatePartitions(Context* context, const Bytes* request, Bytes* response) override {
    return Unary(context, [&] { return AdminService::CreatePartitions(context, request, response); });
  }
  UnaryReactor* DeleteRecords(Context* context, const Bytes* request, Bytes* response) override {
    return Unary(context, [&] { return AdminService::DeleteRecords(context, request, response); });
  }
};

class BoundedClusterService final : public BoundedService<ClusterService> {
 public:
  using BoundedService::BoundedService;
  UnaryReactor* GetMetadata(Context* context, const Bytes* request, Bytes* response) override {
    return Unary(context, [&] { return ClusterService::GetMetadata(context, request, response); });
  }
  WriteReactor* WatchMetadata(Context* context, const Bytes* request) override {
    return Stream<WriteReactor>(context, [&] { return ClusterService::WatchMetadata(context, request); });
  }
  UnaryReactor* DescribeCluster(Context* context, const Bytes* request, Bytes* response) override {
    return Unary(context, [&] { return ClusterService::DescribeCluster(context, request, response); });
  }
  UnaryReactor* ElectLeaders(Context* context, const Bytes* request, Bytes* response) override {
    return Unary(context, [&] { return ClusterService::ElectLeaders(context, request, response); });
  }
};

class BoundedGroupService final : public BoundedService<GroupService> {
 public:
  using BoundedService::BoundedService;
  BidiReactor* Consume(Context* context) override {
    return Stream<BidiReactor>(context, [&] { return GroupService::Consume(context); });
  }
  UnaryReactor* Poll(Context* context, const Bytes* request, Bytes* response) override {
    return Unary(context, [&] { return GroupService::Poll(context, request, response); });
  }
  UnaryReactor* CommitOffsets(Context* context, const Bytes* request, Bytes* response) override {
    return Unary(context, [&] { return GroupService::CommitOffsets(context, request, response); });
  }
  UnaryReactor* ListCommittedOffsets(Context* context, const Bytes* request, Bytes* response) override {
    return Unary(context, [&] { return GroupService::ListCommittedOffsets(context, request, response); });
  }
  UnaryReactor* LeaveGroup(Context* context, const Bytes* request, Bytes* response) override {
    return Unary(context, [&] { return GroupService::LeaveGroup(context, request, response); });
  }
  UnaryReactor* ListGroups(Context* context, const Bytes* request, Bytes* response) override {
    return Unary(context, [&] { return GroupService::ListGroups(context, request, response); });
  }
  UnaryReactor* GetGroup(Context* context, const Bytes* request, Bytes* response) override {
    return Unary(context, [&] { return GroupService::GetGroup(context, request, response); });
  }
  UnaryReactor* ResetOffsets(Context* context, const Bytes* request, Bytes* response) override {
    return Unary(context, [&] { return GroupService::ResetOffsets(context, request, response); });
  }
  UnaryReactor* DeleteGroup(Context* context, const Bytes* request, Bytes* response) override {
    return Unary(context, [&] { return GroupService::DeleteGroup(context, request, response); });
  }
};

class BoundedTransactionService final : public BoundedService<TransactionService> {
 public:
  using BoundedService::BoundedService;
  UnaryReactor* InitProducer(Context* context, const Bytes* request, Bytes* response) override {
    return Unary(context, [&] { return TransactionService::InitProducer(context, request, response); });
  }
};

}  // namespace naru::services
