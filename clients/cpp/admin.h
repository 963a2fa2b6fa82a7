// Topics and the cluster: AdminService and ClusterService, one method each, with the client's deadline and
// repeats. Requests, defaults and errors are those of proto/naru/v1/admin.proto and cluster.proto.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/cpp/client.h"
#include "naru/v1/admin.pb.h"
#include "naru/v1/cluster.pb.h"

namespace naru::client {

// Thread-safe; every method blocks for a call. A change whose answer was lost is not repeated (see
// Client::Call).
class Admin {
 public:
  explicit Admin(std::shared_ptr<Client> client) : client_(std::move(client)) {}

  absl::StatusOr<naru::v1::Topic> CreateTopic(const naru::v1::CreateTopicRequest& request);
  // With the state of its partitions.
  absl::StatusOr<naru::v1::Topic> GetTopic(std::string_view name);
  // Every topic whose name begins with `prefix`, page by page; by name.
  absl::StatusOr<std::vector<naru::v1::Topic>> ListTopics(std::string_view prefix = "");
  absl::StatusOr<naru::v1::Topic> UpdateTopic(const naru::v1::UpdateTopicRequest& request);
  absl::Status DeleteTopic(std::string_view name);
  // `partition_count`: how many there shall be in all.
  absl::StatusOr<naru::v1::Topic> CreatePartitions(std::string_view name, int32_t partition_count);
  absl::StatusOr<naru::v1::DeleteRecordsResponse> DeleteRecords(
      const naru::v1::DeleteRecordsRequest& request);
  absl::StatusOr<naru::v1::DescribeClusterResponse> DescribeCluster();
  absl::StatusOr<naru::v1::ElectLeadersResponse> ElectLeaders(const naru::v1::ElectLeadersRequest& request);

 private:
  const std::shared_ptr<Client> client_;
};

}  // namespace naru::client
