// Consumer groups from outside: GroupService's unary calls, one method each, with the client's deadline and
// repeats. To be a member, see GroupConsumer. Requests, defaults and errors are those of
// proto/naru/v1/group.proto.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/cpp/client.h"
#include "naru/v1/group.pb.h"

namespace naru::client {

// Thread-safe; every method blocks for a call. A change whose answer was lost is not repeated (see
// Client::Call): positions that were written meanwhile would be overwritten.
class GroupAdmin {
 public:
  explicit GroupAdmin(std::shared_ptr<Client> client) : client_(std::move(client)) {}

  // Every group there is, page by page; by name.
  absl::StatusOr<std::vector<naru::v1::GroupSummary>> ListGroups();
  // State, members, assignment, positions and lag.
  absl::StatusOr<naru::v1::Group> GetGroup(std::string_view group);
  // What was moved, or with dry_run would be.
  absl::StatusOr<naru::v1::ResetOffsetsResponse> ResetOffsets(const naru::v1::ResetOffsetsRequest& request);
  absl::Status DeleteGroup(std::string_view group);
  absl::StatusOr<naru::v1::ListCommittedOffsetsResponse> ListCommittedOffsets(
      const naru::v1::ListCommittedOffsetsRequest& request);
  // Of a member, or of a group without members. A GroupConsumer's own are better sent by its Commit.
  absl::Status CommitOffsets(const naru::v1::CommitOffsetsRequest& request);
  absl::Status LeaveGroup(const naru::v1::LeaveGroupRequest& request);

 private:
  const std::shared_ptr<Client> client_;
};

}  // namespace naru::client
