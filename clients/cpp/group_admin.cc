#include "clients/cpp/group_admin.h"

#include <string>
#include <utility>

#include "clients/cpp/unary_call.h"
#include "naru/v1/group.grpc.pb.h"
#include "storage/base/status.h"

namespace naru::client {
namespace {

using naru::v1::GroupService;
using Stub = naru::v1::GroupService::Stub;

}  // namespace

absl::StatusOr<std::vector<naru::v1::GroupSummary>> GroupAdmin::ListGroups() {
  std::vector<naru::v1::GroupSummary> groups;
  naru::v1::ListGroupsRequest request;
  request.set_page_size(1'000);
  do {
    NARU_ASSIGN_OR_RETURN(auto response,
                          CallUnary<GroupService>(*client_, CallKind::kRead, request, &Stub::ListGroups));
    if (!response.next_page_token().empty() && response.next_page_token() == request.page_token()) {
      return absl::InternalError("next_page_token: the same page was answered twice");
    }
    for (auto& group : *response.mutable_groups()) groups.push_back(std::move(group));
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  return groups;
}

absl::StatusOr<naru::v1::Group> GroupAdmin::GetGroup(std::string_view group) {
  naru::v1::GetGroupRequest request;
  request.set_group(std::string(group));
  NARU_ASSIGN_OR_RETURN(auto response,
                        CallUnary<GroupService>(*client_, CallKind::kRead, request, &Stub::GetGroup));
  return std::move(*response.mutable_group());
}

absl::StatusOr<naru::v1::ResetOffsetsResponse> GroupAdmin::ResetOffsets(
    const naru::v1::ResetOffsetsRequest& request) {
  // A dry run changes nothing, so it may be repeated.
  const CallKind kind = request.dry_run() ? CallKind::kRead : CallKind::kWrite;
  return CallUnary<GroupService>(*client_, kind, request, &Stub::ResetOffsets);
}

absl::Status GroupAdmin::DeleteGroup(std::string_view group) {
  naru::v1::DeleteGroupRequest request;
  request.set_group(std::string(group));
  return CallUnary<GroupService>(*client_, CallKind::kWrite, request, &Stub::DeleteGroup).status();
}

absl::StatusOr<naru::v1::ListCommittedOffsetsResponse> GroupAdmin::ListCommittedOffsets(
    const naru::v1::ListCommittedOffsetsRequest& request) {
  return CallUnary<GroupService>(*client_, CallKind::kRead, request, &Stub::ListCommittedOffsets);
}

absl::Status GroupAdmin::CommitOffsets(const naru::v1::CommitOffsetsRequest& request) {
  return CallUnary<GroupService>(*client_, CallKind::kWrite, request, &Stub::CommitOffsets).status();
}

absl::Status GroupAdmin::LeaveGroup(const naru::v1::LeaveGroupRequest& request) {
  return CallUnary<GroupService>(*client_, CallKind::kWrite, request, &Stub::LeaveGroup).status();
}

}  // namespace naru::client
