// The group service beside produce and consume, on a real gRPC server over a store in memory.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cluster/group/group_coordinator.h"
#include "naru/v1/group.grpc.pb.h"
#include "services/group/group_service.h"
#include "storage/base/event_log.h"
#include "tests/services/hub.h"

namespace naru::services {

class GroupHub : public Hub {
 public:
  explicit GroupHub(const GroupServiceOptions& options = {}, const cluster::GroupLimits& limits = {},
                    const ConsumeOptions& consume_options = {})
      : Hub({}, consume_options, NotStarted{}),
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
  // The names of its members' states: "m" is there, "m away" has no session.
  std::vector<std::string> Members(const std::string& of_group) {
    std::vector<std::string> members;
    const naru::v1::Group described = Describe(of_group);
    for (const naru::v1::GroupMember& member : described.members()) {
      members.push_back(member.member_id() + (member.away() ? " away" : ""));
    }
    return members;
  }
  CallEnd Commit(const std::string& to_group, const std::string& topic, int partition, int64_t offset,
                 const std::string& metadata = "", const naru::v1::Joined& as = {}) {
    naru::v1::CommitOffsetsRequest request;
    request.set_group(to_group);
    request.set_member_id(as.member_id());
    request.set_member_epoch(as.member_epoch());
    naru::v1::OffsetCommit& commit = *request.add_offsets();
    commit.set_topic(topic);
    commit.set_partition(partition);
    commit.set_offset(offset);
    commit.set_metadata(metadata);
    naru::v1::CommitOffsetsResponse response;
    return Call(&naru::v1::GroupService::Stub::CommitOffsets, request, &response);
  }
  // As retention does it.
  void MoveLogStart(const std::string& topic, int partition, int64_t start) {
    const LogId log = catalog.Log(topic, partition);
    store.MoveLogStart(log, Offset(start), [](absl::Status status) { EXPECT_TRUE(status.ok()) << status; });
    EXPECT_TRUE(WaitFor([&] { return store.Info(log)->log_start == Offset(start); }));
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
