// The group service beside produce and consume, on a real gRPC server over a store in memory.
#pragma once

#include <memory>
#include <string>

#include "cluster/group/group_coordinator.h"
#include "naru/v1/group.grpc.pb.h"
#include "services/group/group_service.h"
#include "storage/base/event_log.h"
#include "tests/services/hub.h"

namespace naru::services {

class GroupHub : public Hub {
 public:
  explicit GroupHub(const GroupServiceOptions& options = {}, const cluster::GroupLimits& limits = {})
      : Hub({}, {}, NotStarted{}),
        groups({.limits = limits}, appends, catalog, clock, events,
               [this](auto done) {
                 catalog.SetTopic(std::string(cluster::kOffsetsTopic), 4);
                 done(absl::OkStatus());
               }),
        group(consume.context(), groups, options) {
    groups.Start();
    Start({&group});
    member = naru::v1::GroupService::NewStub(channel);
  }
  ~GroupHub() {
    consume.Shutdown();
    group.Shutdown();
    Stop([this] { groups.Stop(); });
  }

  // The position committed for a partition; -1: none.
  int64_t Committed(const std::string& of_group, const std::string& topic, int partition) {
    naru::v1::ListCommittedOffsetsRequest request;
    request.set_group(of_group);
    request.add_topics(topic);
    naru::v1::ListCommittedOffsetsResponse response;
    const CallEnd end = Call(&naru::v1::GroupService::Stub::ListCommittedOffsets, request, &response);
    EXPECT_EQ(end.code, grpc::StatusCode::OK) << end.message;
    for (const naru::v1::CommittedOffset& offset : response.offsets()) {
      if (offset.partition() == partition) return offset.offset();
    }
    return -1;
  }
  naru::v1::Group Describe(const std::string& of_group) {
    naru::v1::GetGroupRequest request;
    request.set_group(of_group);
    naru::v1::GetGroupResponse response;
    const CallEnd end = Call(&naru::v1::GroupService::Stub::GetGroup, request, &response);
    EXPECT_EQ(end.code, grpc::StatusCode::OK) << end.message;
    return response.group();
  }
  // A unary call of the group service.
  template <typename Request, typename Response>
  CallEnd Call(grpc::Status (naru::v1::GroupService::Stub::*method)(grpc::ClientContext*, const Request&,
                                                                    Response*),
               const Request& request, Response* response) {
    grpc::ClientContext context;
    SetDeadline(context);
    const grpc::Status status = (*member.*method)(&context, request, response);
    return EndOf(context, status);
  }

  NullEventLog events;
  cluster::GroupCoordinator groups;
  GroupService group;
  std::unique_ptr<naru::v1::GroupService::Stub> member;
};

}  // namespace naru::services
