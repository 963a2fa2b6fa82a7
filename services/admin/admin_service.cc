#include "services/admin/admin_service.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "services/admin/record_deletion.h"
#include "services/admin/topic_message.h"
#include "services/admin/topic_pages.h"
#include "services/rpc/status.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::services {
namespace {

using Topic = std::shared_ptr<const cluster::TopicInfo>;

// With all its numbers at their longest a partition's state is about 100 bytes: the answer stays under the 4
// MiB that clients take by default.
constexpr int32_t kPartitionStatesMax = 20'000;

grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, const absl::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(status, *context));
  return reactor;
}

// What completes a call whose answer is a topic. Context and response live until Finish.
template <typename Response>
cluster::TopicCoordinator::TopicDone AnswerWithTopic(grpc::CallbackServerContext* context,
                                                     grpc::ServerUnaryReactor* reactor, Response* response) {
  return [context, reactor, response](absl::StatusOr<Topic> topic) {
    if (topic.ok()) *response->mutable_topic() = ToMessage(**topic);
    reactor->Finish(ToGrpcStatus(topic.status(), *context));
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

grpc::ServerUnaryReactor* AdminService::CreateTopic(grpc::CallbackServerContext* context,
                                                    const naru::v1::CreateTopicRequest* request,
                                                    naru::v1::CreateTopicResponse* response) {
  if (const absl::Status running = CheckRunning(); !running.ok()) return Answer(context, running);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  coordinator_.CreateTopic(*request, AnswerWithTopic(context, reactor, response));
  return reactor;
}

grpc::ServerUnaryReactor* AdminService::UpdateTopic(grpc::CallbackServerContext* context,
                                                    const naru::v1::UpdateTopicRequest* request,
                                                    naru::v1::UpdateTopicResponse* response) {
  if (const absl::Status running = CheckRunning(); !running.ok()) return Answer(context, running);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  coordinator_.UpdateTopic(*request, AnswerWithTopic(context, reactor, response));
  return reactor;
}

grpc::ServerUnaryReactor* AdminService::CreatePartitions(grpc::CallbackServerContext* context,
                                                         const naru::v1::CreatePartitionsRequest* request,
                                                         naru::v1::CreatePartitionsResponse* response) {
  if (const absl::Status running = CheckRunning(); !running.ok()) return Answer(context, running);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  coordinator_.CreatePartitions(*request, AnswerWithTopic(context, reactor, response));
  return reactor;
}

grpc::ServerUnaryReactor* AdminService::DeleteTopic(grpc::CallbackServerContext* context,
                                                    const naru::v1::DeleteTopicRequest* request,
                                                    naru::v1::DeleteTopicResponse*) {
  if (const absl::Status running = CheckRunning(); !running.ok()) return Answer(context, running);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  coordinator_.DeleteTopic(*request, [context, reactor](absl::Status deleted) {
    reactor->Finish(ToGrpcStatus(deleted, *context));
  });
  return reactor;
}

grpc::ServerUnaryReactor* AdminService::GetTopic(grpc::CallbackServerContext* context,
                                                 const naru::v1::GetTopicRequest* request,
                                                 naru::v1::GetTopicResponse* response) {
  if (const absl::Status running = CheckRunning(); !running.ok()) return Answer(context, running);
  return Answer(context, Describe(*request, *response->mutable_topic()));
}

grpc::ServerUnaryReactor* AdminService::ListTopics(grpc::CallbackServerContext* context,
                                                   const naru::v1::ListTopicsRequest* request,
                                                   naru::v1::ListTopicsResponse* response) {
  if (const absl::Status running = CheckRunning(); !running.ok()) return Answer(context, running);
  auto page = ListTopicsPage(*coordinator_.Current(), *request);
  if (page.ok()) *response = *std::move(page);
  return Answer(context, page.status());
}

grpc::ServerUnaryReactor* AdminService::DeleteRecords(grpc::CallbackServerContext* context,
                                                      const naru::v1::DeleteRecordsRequest* request,
                                                      naru::v1::DeleteRecordsResponse* response) {
  if (const absl::Status running = CheckRunning(); !running.ok()) return Answer(context, running);
  if (const absl::Status valid = ValidateDeletion(*request); !valid.ok()) return Answer(context, valid);
  auto topic = coordinator_.Current()->Find(request->topic());
  if (!topic.ok()) return Answer(context, topic.status());
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  services::DeleteRecords(*std::move(topic), *request, logs_, *response,
                          [reactor] { reactor->Finish(grpc::Status::OK); });
  return reactor;
}

absl::Status AdminService::Describe(const naru::v1::GetTopicRequest& request, naru::v1::Topic& topic) const {
  NARU_RETURN_IF_ERROR(cluster::ValidateTopicName("name", request.name()));
  NARU_ASSIGN_OR_RETURN(const Topic found, coordinator_.Current()->Find(request.name()));
  NARU_ASSIGN_OR_RETURN(const std::vector<int32_t> chosen, ChosenPartitions(request, *found));
  topic = ToMessage(*found);
  topic.mutable_partitions()->Reserve(static_cast<int>(chosen.size()));
  for (const int32_t partition : chosen) {
    const cluster::PartitionPlacement& placement = found->partitions[partition];
    const absl::StatusOr<LogInfo> info = logs_.Info(placement.log);
    if (!info.ok()) {
      // The topic may have been deleted just now: then that is the answer.
      NARU_RETURN_IF_ERROR(coordinator_.Current()->Find(request.name(), found->topic_id).status());
      return info.status();
    }
    *topic.add_partitions() = ToMessage(partition, placement, *info);
  }
  return absl::OkStatus();
}

}  // namespace naru::services
