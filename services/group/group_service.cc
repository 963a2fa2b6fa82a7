#include "services/group/group_service.h"

#include <utility>

#include "services/consume/log_ends.h"
#include "services/group/consume_stream.h"
#include "services/group/group_view.h"
#include "services/group/join_plan.h"
#include "services/group/offset_commits.h"
#include "services/group/offset_reset.h"
#include "services/group/poll_call.h"
#include "services/group/poll_member.h"
#include "services/rpc/message_call.h"
#include "services/rpc/open_streams.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::services {
namespace {

// What ends a call that has no more to say than how it went.
template <typename Call>
cluster::Groups::Done FinishOf(const std::shared_ptr<GroupContext>& context,
                               const std::shared_ptr<Call>& call) {
  return [context, call](const absl::Status& status) {
    context->counters.errors.Count(status);
    call->Finish(status);
  };
}

absl::StatusOr<cluster::CommitOffsets> ReadCommit(const naru::v1::CommitOffsetsRequest& request,
                                                  const ConsumeContext& consume) {
  NARU_RETURN_IF_ERROR(ValidateGroupName("group", request.group()));
  cluster::CommitOffsets commit{.member_epoch = request.member_epoch()};
  if (!request.member_id().empty()) commit.member_id = request.member_id();
  NARU_ASSIGN_OR_RETURN(commit.offsets,
                        ReadOffsetCommits(request.offsets(), *consume.catalog.Current(),
                                          [&consume](LogId log) { return consume.store.Info(log); }));
  return commit;
}

absl::StatusOr<cluster::LeaveGroup> ReadLeave(const naru::v1::LeaveGroupRequest& request) {
  NARU_RETURN_IF_ERROR(ValidateGroupName("group", request.group()));
  if (request.member_id().empty() && request.instance_id().empty()) {
    return InvalidField("member", "an absent one", "give member_id or instance_id");
  }
  return cluster::LeaveGroup{.member_id = request.member_id(), .instance_id = request.instance_id()};
}

}  // namespace

struct GroupService::Open {
  OpenStreams<ConsumeStream> streams;
};

GroupService::GroupService(std::shared_ptr<ConsumeContext> consume, cluster::Groups& groups,
                           const GroupServiceOptions& options)
    : context_(std::make_shared<GroupContext>(std::move(consume), groups, options)),
      open_(std::make_shared<Open>()) {}

template <typename Request, typename Response, typename Work>
grpc::ServerUnaryReactor* GroupService::Serve(Context& context, const Bytes& request, Bytes& response,
                                              Work work) {
  const auto call = std::make_shared<MessageCall<Request, Response>>(context, response);
  absl::Status status = context_->consume->CheckOpen();
  if (status.ok()) status = call->Parse(request);
  if (status.ok()) status = work(call);
  if (!status.ok()) {
    context_->counters.errors.Count(status);
    call->Finish(status);
  }
  return call->reactor();
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* GroupService::Consume(Context* context) {
  const std::shared_ptr<ConsumeStream> stream = ConsumeStream::Make(context_, *context);
  stream->SetDone([open = open_, stream = stream.get()] { open->streams.Remove(stream); });
  open_->streams.Add(stream);
  // A Shutdown before the Add has not seen it.
  if (!context_->consume->CheckOpen().ok()) stream->Stop();
  stream->Start();
  return stream.get();
}

grpc::ServerUnaryReactor* GroupService::Poll(Context* context, const Bytes* request, Bytes* response) {
  const std::shared_ptr<PollCall> call = PollCall::Make(context_, *context, *response);
  call->Start(*request);
  return call.get();
}

grpc::ServerUnaryReactor* GroupService::CommitOffsets(Context* context, const Bytes* request,
                                                      Bytes* response) {
  using naru::v1::CommitOffsetsRequest;
  using naru::v1::CommitOffsetsResponse;
  return Serve<CommitOffsetsRequest, CommitOffsetsResponse>(
      *context, *request, *response, [this](const auto& call) -> absl::Status {
        NARU_ASSIGN_OR_RETURN(cluster::CommitOffsets commit, ReadCommit(call->request(), *context_->consume));
        context_->counters.commits.fetch_add(1, std::memory_order_relaxed);
        context_->groups.Commit(call->request().group(), std::move(commit), FinishOf(context_, call));
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* GroupService::LeaveGroup(Context* context, const Bytes* request, Bytes* response) {
  using naru::v1::LeaveGroupRequest;
  using naru::v1::LeaveGroupResponse;
  return Serve<LeaveGroupRequest, LeaveGroupResponse>(
      *context, *request, *response, [this](const auto& call) -> absl::Status {
        NARU_ASSIGN_OR_RETURN(cluster::LeaveGroup leave, ReadLeave(call->request()));
        context_->groups.Remove(call->request().group(), std::move(leave), FinishOf(context_, call));
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* GroupService::DeleteGroup(Context* context, const Bytes* request, Bytes* response) {
  using naru::v1::DeleteGroupRequest;
  using naru::v1::DeleteGroupResponse;
  return Serve<DeleteGroupRequest, DeleteGroupResponse>(
      *context, *request, *response, [this](const auto& call) -> absl::Status {
        NARU_RETURN_IF_ERROR(ValidateGroupName("group", call->request().group()));
        context_->groups.Delete(call->request().group(), FinishOf(context_, call));
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* GroupService::ListCommittedOffsets(Context* context, const Bytes* request,
                                                             Bytes* response) {
  using naru::v1::ListCommittedOffsetsRequest;
  using naru::v1::ListCommittedOffsetsResponse;
  return Serve<ListCommittedOffsetsRequest, ListCommittedOffsetsResponse>(
      *context, *request, *response, [this](const auto& call) -> absl::Status {
        NARU_RETURN_IF_ERROR(ValidateGroupName("group", call->request().group()));
        context_->groups.Describe(
            call->request().group(),
            [shared = context_, call](absl::StatusOr<cluster::GroupSnapshot> snapshot) {
              // None committed is no error.
              if (ReasonOf(snapshot.status()) == Reason::kGroupNotFound) snapshot = cluster::GroupSnapshot();
              shared->consume->executor.Run([shared, call, snapshot = std::move(snapshot)] {
                absl::StatusOr<ListCommittedOffsetsResponse> answer =
                    snapshot.ok() ? ListCommitted(call->request(), snapshot->offsets,
                                                  *shared->consume->catalog.Current())
                                  : absl::StatusOr<ListCommittedOffsetsResponse>(snapshot.status());
                if (answer.ok()) call->response() = std::move(*answer);
                FinishOf(shared, call)(answer.status());
              });
            });
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* GroupService::ListGroups(Context* context, const Bytes* request, Bytes* response) {
  using naru::v1::ListGroupsRequest;
  using naru::v1::ListGroupsResponse;
  return Serve<ListGroupsRequest, ListGroupsResponse>(
      *context, *request, *response, [this](const auto& call) -> absl::Status {
        context_->groups.List(
            [shared = context_, call](absl::StatusOr<std::vector<cluster::GroupListing>> groups) {
              shared->consume->executor.Run([shared, call, groups = std::move(groups)] {
                absl::StatusOr<ListGroupsResponse> page =
                    groups.ok() ? ListGroupsPage(*groups, call->request())
                                : absl::StatusOr<ListGroupsResponse>(groups.status());
                if (page.ok()) call->response() = std::move(*page);
                FinishOf(shared, call)(page.status());
              });
            });
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* GroupService::GetGroup(Context* context, const Bytes* request, Bytes* response) {
  using naru::v1::GetGroupRequest;
  using naru::v1::GetGroupResponse;
  return Serve<GetGroupRequest, GetGroupResponse>(
      *context, *request, *response, [this](const auto& call) -> absl::Status {
        NARU_RETURN_IF_ERROR(ValidateGroupName("group", call->request().group()));
        context_->groups.Describe(
            call->request().group(),
            [shared = context_, call](absl::StatusOr<cluster::GroupSnapshot> snapshot) {
              if (!snapshot.ok()) return FinishOf(shared, call)(snapshot.status());
              const auto catalog = shared->consume->catalog.Current();
              const std::set<LogId> logs = LogsOf(*snapshot, *catalog);
              AskLogEnds(
                  shared->consume->store, logs,
                  [shared, call, catalog, snapshot = *std::move(snapshot)](LogEnds ends) mutable {
                    shared->consume->executor.Run(
                        [shared, call, catalog, snapshot = std::move(snapshot), ends = std::move(ends)] {
                          *call->response().mutable_group() =
                              ToMessage(snapshot, *catalog, [&ends](LogId log) { return ends.Of(log); });
                          FinishOf(shared, call)(absl::OkStatus());
                        });
                  });
            });
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* GroupService::ResetOffsets(Context* context, const Bytes* request,
                                                     Bytes* response) {
  using naru::v1::ResetOffsetsRequest;
  using naru::v1::ResetOffsetsResponse;
  return Serve<ResetOffsetsRequest, ResetOffsetsResponse>(
      *context, *request, *response, [this](const auto& call) -> absl::Status {
        OffsetReset::Begin(context_, call->request(),
                           [shared = context_, call](absl::StatusOr<ResetOffsetsResponse> moved) {
                             if (moved.ok()) call->response() = std::move(*moved);
                             FinishOf(shared, call)(moved.status());
                           });
        return absl::OkStatus();
      });
}

void GroupService::Shutdown() {
  for (const std::shared_ptr<ConsumeStream>& stream : open_->streams.All()) stream->Stop();
  for (const std::shared_ptr<PollMember>& member : context_->pollers.All()) member->Stop();
}

GroupServiceSnapshot GroupService::Counters() const {
  const GroupServiceCounters& counters = context_->counters;
  GroupServiceSnapshot snapshot;
  snapshot.streams = counters.streams.load(std::memory_order_relaxed);
  snapshot.streams_open = counters.streams_open.load(std::memory_order_relaxed);
  snapshot.polls = counters.polls.load(std::memory_order_relaxed);
  snapshot.pollers = static_cast<int64_t>(context_->pollers.size());
  snapshot.deliveries = counters.deliveries.load(std::memory_order_relaxed);
  snapshot.records = counters.records.load(std::memory_order_relaxed);
  snapshot.bytes = counters.bytes.load(std::memory_order_relaxed);
  snapshot.acks = counters.acks.load(std::memory_order_relaxed);
  snapshot.commits = counters.commits.load(std::memory_order_relaxed);
  snapshot.stalled = counters.stalled.load(std::memory_order_relaxed);
  snapshot.errors = counters.errors.Read();
  return snapshot;
}

}  // namespace naru::services
