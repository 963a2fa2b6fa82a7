// naru.v1.GroupService on gRPC's callback API: members as streams and as polls, positions, and what operators
// need. See proto/naru/v1/group.proto for the contract.
//
// Thread-safe. Nothing blocks on gRPC's threads. The coordinator, and what the consume service works with,
// outlive the service and every call it began. To stop: Shutdown(), then the grpc::Server's, then the
// coordinator's Stop(), then destroy the service.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>

#include "cluster/group/groups.h"
#include "naru/v1/group.grpc.pb.h"
#include "services/consume/consume_context.h"
#include "services/group/group_context.h"
#include "services/group/group_counters.h"

namespace naru::services {

// All methods raw: see MessageCall.
template <typename Base>
using RawMemberMethods =
    naru::v1::GroupService::WithRawCallbackMethod_Consume<naru::v1::GroupService::WithRawCallbackMethod_Poll<
        naru::v1::GroupService::WithRawCallbackMethod_CommitOffsets<
            naru::v1::GroupService::WithRawCallbackMethod_LeaveGroup<Base>>>>;
template <typename Base>
using RawOperatorMethods = naru::v1::GroupService::WithRawCallbackMethod_ListCommittedOffsets<
    naru::v1::GroupService::WithRawCallbackMethod_ListGroups<
        naru::v1::GroupService::WithRawCallbackMethod_GetGroup<
            naru::v1::GroupService::WithRawCallbackMethod_ResetOffsets<
                naru::v1::GroupService::WithRawCallbackMethod_DeleteGroup<Base>>>>>;

class GroupService : public RawMemberMethods<RawOperatorMethods<naru::v1::GroupService::Service>> {
 public:
  using Context = grpc::CallbackServerContext;
  using Bytes = grpc::ByteBuffer;

  GroupService(std::shared_ptr<ConsumeContext> consume, cluster::Groups& groups,
               const GroupServiceOptions& options);

  grpc::ServerBidiReactor<Bytes, Bytes>* Consume(Context* context) override;
  grpc::ServerUnaryReactor* Poll(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerUnaryReactor* CommitOffsets(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerUnaryReactor* ListCommittedOffsets(Context* context, const Bytes* request,
                                                 Bytes* response) override;
  grpc::ServerUnaryReactor* LeaveGroup(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerUnaryReactor* ListGroups(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerUnaryReactor* GetGroup(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerUnaryReactor* ResetOffsets(Context* context, const Bytes* request, Bytes* response) override;
  grpc::ServerUnaryReactor* DeleteGroup(Context* context, const Bytes* request, Bytes* response) override;

  // Streams and polls end with SHUTTING_DOWN, as does every call from now on; their members are away, not
  // gone. The consume service's Shutdown comes first. Does not wait.
  void Shutdown();

  GroupServiceSnapshot Counters() const;

 private:
  struct Open;

  // Parses the request and hands the call on, unless it is refused here.
  template <typename Request, typename Response, typename Work>
  grpc::ServerUnaryReactor* Serve(Context& context, const Bytes& request, Bytes& response, Work work);

  const std::shared_ptr<GroupContext> context_;
  const std::shared_ptr<Open> open_;
};

}  // namespace naru::services
