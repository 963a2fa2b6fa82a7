#include "services/admin/admin_service.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "services/admin/record_deletion.h"
#include "services/admin/topic_message.h"
#include "services/admin/topic_pages.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::services {
namespace {

using Topic = std::shared_ptr<const cluster::TopicInfo>;

// With all its numbers at their longest a partition's state is about 100 bytes: the answer stays under the 4
// MiB that clients take by default.
constexpr int32_t kPartitionStatesMax = 20'000;

// What completes a call whose answer is a topic.
template <typename Call>
cluster::TopicChanger::TopicDone AnswerWithTopic(const std::shared_ptr<Call>& call) {
  return [call](absl::StatusOr<Topic> topic) {
    if (topic.ok()) *call->response().mutable_topic() = ToMessage(**topic);
    call->Finish(topic.status());
  };
}

// Which partitions a GetTopic is about.
absl::StatusOr<std::vector<int32_t>> ChosenPartitions(const naru::v1::GetTopicRequest& request,
                                                      const cluster::TopicInfo& topic) {
  const int32_t count = request.partitions().empty() ? topic.partition_count() : request.partitions_size();
  if (count > kPartitionStatesMax) {
    return InvalidField("partitions", absl::StrCat("the state of ", count, " partitions"),
                        absl::StrCat("name at most ", kPartitionStatesMax, " in one call"));
  }
  std::vector<int32_t> chosen(request.partitions().begin(), request.partitions().end());
  absl::flat_hash_set<int32_t> named;
  for (const int32_t partition : chosen) {
    NARU_RETURN_IF_ERROR(cluster::FindPartition(topic, partition).status());
    if (!named.insert(partition).second) {
      return InvalidField("partitions", absl::StrCat(partition), "a partition may be named once");
    }
  }
  for (int32_t partition = 0; chosen.size() < static_cast<size_t>(count); ++partition)
    chosen.push_back(partition);
  return chosen;
}

}  // namespace

absl::Status AdminService::CheckRunning() const {
  if (!stopping_.load(std::memory_order_relaxed)) return absl::OkStatus();
  return MakeError(Reason::kShuttingDown, "the broker is shutting down; try again, or another broker");
}

template <typename Request, typename Response, typename Work>
grpc::ServerUnaryReactor* AdminService::Serve(grpc::CallbackServerContext& context,
                                              const grpc::ByteBuffer& request, grpc::ByteBuffer& response,
                                              Work work) {
  const auto call = std::make_shared<MessageCall<Request, Response>>(context, response);
  absl::Status status = CheckRunning();
  if (status.ok()) status = call->Parse(request);
  if (status.ok()) {
    work(call);
  } else {
    call->Finish(status);
  }
  return call->reactor();
}

grpc::ServerUnaryReactor* AdminService::CreateTopic(grpc::CallbackServerContext* context,
                                                    const grpc::ByteBuffer* request,
                                                    grpc::ByteBuffer* response) {
  using naru::v1::CreateTopicRequest;
  using naru::v1::CreateTopicResponse;
  return Serve<CreateTopicRequest, CreateTopicResponse>(
      *context, *request, *response,
      [this](const auto& call) { topics_.CreateTopic(call->request(), AnswerWithTopic(call)); });
}

grpc::ServerUnaryReactor* AdminService::UpdateTopic(grpc::CallbackServerContext* context,
                                                    const grpc::ByteBuffer* request,
                                                    grpc::ByteBuffer* response) {
  using naru::v1::UpdateTopicRequest;
  using naru::v1::UpdateTopicResponse;
  return Serve<UpdateTopicRequest, UpdateTopicResponse>(
      *context, *request, *response,
      [this](const auto& call) { topics_.UpdateTopic(call->request(), AnswerWithTopic(call)); });
}

grpc::ServerUnaryReactor* AdminService::CreatePartitions(grpc::CallbackServerContext* context,
                                                         const grpc::ByteBuffer* request,
                                                         grpc::ByteBuffer* response) {
  using naru::v1::CreatePartitionsRequest;
  using naru::v1::CreatePartitionsResponse;
  return Serve<CreatePartitionsRequest, CreatePartitionsResponse>(
      *context, *request, *response,
      [this](const auto& call) { topics_.CreatePartitions(call->request(), AnswerWithTopic(call)); });
}

grpc::ServerUnaryReactor* AdminService::DeleteTopic(grpc::CallbackServerContext* context,
                                                    const grpc::ByteBuffer* request,
                                                    grpc::ByteBuffer* response) {
  using naru::v1::DeleteTopicRequest;
  using naru::v1::DeleteTopicResponse;
  return Serve<DeleteTopicRequest, DeleteTopicResponse>(
      *context, *request, *response, [this](const auto& call) {
        topics_.DeleteTopic(call->request(), [call](const absl::Status& deleted) { call->Finish(deleted); });
      });
}

grpc::ServerUnaryReactor* AdminService::GetTopic(grpc::CallbackServerContext* context,
                                                 const grpc::ByteBuffer* request,
                                                 grpc::ByteBuffer* response) {
  using naru::v1::GetTopicRequest;
  using naru::v1::GetTopicResponse;
  return Serve<GetTopicRequest, GetTopicResponse>(*context, *request, *response, [this](const auto& call) {
    call->Finish(Describe(call->request(), *call->response().mutable_topic()));
  });
}

grpc::ServerUnaryReactor* AdminService::ListTopics(grpc::CallbackServerContext* context,
                                                   const grpc::ByteBuffer* request,
                                                   grpc::ByteBuffer* response) {
  using naru::v1::ListTopicsRequest;
  using naru::v1::ListTopicsResponse;
  return Serve<ListTopicsRequest, ListTopicsResponse>(
      *context, *request, *response, [this](const auto& call) {
        auto page = ListTopicsPage(*topics_.Current(), call->request());
        if (!page.ok()) return call->Finish(page.status());
        call->response() = *std::move(page);
        call->Finish(absl::OkStatus());
      });
}

grpc::ServerUnaryReactor* AdminService::DeleteRecords(grpc::CallbackServerContext* context,
                                                      const grpc::ByteBuffer* request,
                                                      grpc::ByteBuffer* response) {
  using naru::v1::DeleteRecordsRequest;
  using naru::v1::DeleteRecordsResponse;
  return Serve<DeleteRecordsRequest, DeleteRecordsResponse>(
      *context, *request, *response, [this](const auto& call) {
        const DeleteRecordsRequest& asked = call->request();
        if (const absl::Status valid = ValidateDeletion(asked); !valid.ok()) return call->Finish(valid);
        auto topic = topics_.Current()->Find(asked.topic(), asked.topic_id());
        if (!topic.ok()) return call->Finish(topic.status());
        const absl::Status changeable = cluster::CheckChangeable("topic", asked.topic());
        if (!changeable.ok()) return call->Finish(changeable);
        services::DeleteRecords(*std::move(topic), asked, logs_, topics_, call->response(),
                                [call] { call->Finish(absl::OkStatus()); });
      });
}

absl::Status AdminService::Describe(const naru::v1::GetTopicRequest& request, naru::v1::Topic& topic) const {
  NARU_RETURN_IF_ERROR(cluster::ValidateTopicName("name", request.name()));
  NARU_ASSIGN_OR_RETURN(const Topic found, topics_.Current()->Find(request.name()));
  NARU_ASSIGN_OR_RETURN(const std::vector<int32_t> chosen, ChosenPartitions(request, *found));
  topic = ToMessage(*found);
  topic.mutable_partitions()->Reserve(static_cast<int>(chosen.size()));
  for (const int32_t partition : chosen) {
    const cluster::PartitionPlacement& placement = found->partitions[partition];
    const absl::StatusOr<LogInfo> info = logs_.Info(placement.log);
    if (!info.ok()) {
      // The topic may have been deleted just now: then that is the answer.
      NARU_RETURN_IF_ERROR(topics_.Current()->Find(request.name(), found->topic_id).status());
      return info.status();
    }
    *topic.add_partitions() = ToMessage(partition, placement, *info);
  }
  return absl::OkStatus();
}

}  // namespace naru::services
