#include "clients/cpp/admin.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "clients/cpp/unary_call.h"
#include "naru/v1/admin.grpc.pb.h"
#include "naru/v1/cluster.grpc.pb.h"
#include "storage/base/status.h"

namespace naru::client {
namespace {

// Brokers tell the state of 20,000 in one answer at most.
constexpr int32_t kPartitionStatesAtOnce = 10'000;

using AdminStub = naru::v1::AdminService::Stub;

}  // namespace

absl::StatusOr<naru::v1::Topic> Admin::CreateTopic(const naru::v1::CreateTopicRequest& request) {
  NARU_ASSIGN_OR_RETURN(auto response, CallUnary<naru::v1::AdminService>(*client_, CallKind::kWrite, request,
                                                                         &AdminStub::CreateTopic));
  return std::move(*response.mutable_topic());
}

absl::StatusOr<naru::v1::Topic> Admin::GetTopic(std::string_view name) {
  naru::v1::GetTopicRequest request;
  request.set_name(std::string(name));
  // A topic with more partitions than fit in one answer is refused when all are asked for; the count is in
  // the answer about the first.
  request.add_partitions(0);
  NARU_ASSIGN_OR_RETURN(auto response, CallUnary<naru::v1::AdminService>(*client_, CallKind::kRead, request,
                                                                         &AdminStub::GetTopic));
  naru::v1::Topic topic = std::move(*response.mutable_topic());
  for (int32_t next = 1; next < topic.partition_count();) {
    request.clear_partitions();
    // So that a topic made anew meanwhile is not mixed with the old one.
    const int32_t end = std::min(topic.partition_count(), next + kPartitionStatesAtOnce);
    for (; next < end; ++next) request.add_partitions(next);
    NARU_ASSIGN_OR_RETURN(response, CallUnary<naru::v1::AdminService>(*client_, CallKind::kRead, request,
                                                                      &AdminStub::GetTopic));
    if (response.topic().topic_id() != topic.topic_id()) {
      return absl::AbortedError(absl::StrCat("topic \"", name, "\" was deleted and made again meanwhile"));
    }
    topic.mutable_partitions()->MergeFrom(response.topic().partitions());
  }
  return topic;
}

absl::StatusOr<std::vector<naru::v1::Topic>> Admin::ListTopics(std::string_view prefix) {
  std::vector<naru::v1::Topic> topics;
  naru::v1::ListTopicsRequest request;
  request.set_page_size(1'000);
  request.set_prefix(std::string(prefix));
  do {
    NARU_ASSIGN_OR_RETURN(auto response, CallUnary<naru::v1::AdminService>(*client_, CallKind::kRead, request,
                                                                           &AdminStub::ListTopics));
    if (!response.next_page_token().empty() && response.next_page_token() == request.page_token()) {
      return absl::InternalError("next_page_token: the same page was answered twice");
    }
    for (auto& topic : *response.mutable_topics()) topics.push_back(std::move(topic));
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  return topics;
}

absl::StatusOr<naru::v1::Topic> Admin::UpdateTopic(const naru::v1::UpdateTopicRequest& request) {
  NARU_ASSIGN_OR_RETURN(auto response, CallUnary<naru::v1::AdminService>(*client_, CallKind::kWrite, request,
                                                                         &AdminStub::UpdateTopic));
  return std::move(*response.mutable_topic());
}

absl::Status Admin::DeleteTopic(std::string_view name) {
  naru::v1::DeleteTopicRequest request;
  request.set_name(std::string(name));
  return CallUnary<naru::v1::AdminService>(*client_, CallKind::kWrite, request, &AdminStub::DeleteTopic)
      .status();
}

absl::StatusOr<naru::v1::Topic> Admin::CreatePartitions(std::string_view name, int32_t partition_count) {
  naru::v1::CreatePartitionsRequest request;
  request.set_name(std::string(name));
  request.set_partition_count(partition_count);
  NARU_ASSIGN_OR_RETURN(auto response, CallUnary<naru::v1::AdminService>(*client_, CallKind::kWrite, request,
                                                                         &AdminStub::CreatePartitions));
  return std::move(*response.mutable_topic());
}

absl::StatusOr<naru::v1::DeleteRecordsResponse> Admin::DeleteRecords(
    const naru::v1::DeleteRecordsRequest& request) {
  return CallUnary<naru::v1::AdminService>(*client_, CallKind::kWrite, request, &AdminStub::DeleteRecords);
}

absl::StatusOr<naru::v1::ElectLeadersResponse> Admin::ElectLeaders(
    const naru::v1::ElectLeadersRequest& request) {
  return CallUnary<naru::v1::ClusterService>(*client_, CallKind::kWrite, request,
                                             &naru::v1::ClusterService::Stub::ElectLeaders);
}

absl::StatusOr<naru::v1::DescribeClusterResponse> Admin::DescribeCluster() {
  return CallUnary<naru::v1::ClusterService>(*client_, CallKind::kRead, naru::v1::DescribeClusterRequest(),
                                             &naru::v1::ClusterService::Stub::DescribeCluster);
}

}  // namespace naru::client
