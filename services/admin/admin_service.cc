#include "services/admin/admin_service.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "cluster/metadata/broker_errors.h"
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

// A GetTopic under way; it is answered when nobody has it any more. Thread-safe.
class AdminService::Description {
 public:
  Description(std::shared_ptr<GetTopicCall> call, Topic topic, const cluster::CatalogSource& catalog)
      : call_(std::move(call)), topic_(std::move(topic)), catalog_(catalog) {}
  ~Description() {
    // The topic may have been deleted just now: then that is the answer.
    if (!error_.ok()) {
      const absl::Status gone = catalog_.Current()->Find(topic_->name, topic_->topic_id).status();
      if (!gone.ok()) error_ = gone;
    }
    call_->Finish(error_);
  }

  void Set(size_t index, const absl::StatusOr<LogInfo>& info) {
    absl::MutexLock lock(&mutex_);
    // Without a leader it is described without its ends.
    if (info.ok()) {
      SetEnds(*info, *call_->response().mutable_topic()->mutable_partitions(static_cast<int>(index)));
    } else if (ReasonOf(info.status()) != Reason::kNoLeader) {
      error_.Update(info.status());
    }
  }

 private:
  const std::shared_ptr<GetTopicCall> call_;
  const Topic topic_;
  const cluster::CatalogSource& catalog_;
  absl::Mutex mutex_;
  absl::Status error_;
};

absl::Status AdminService::CheckRunning() const {
  if (!stopping_.load(std::memory_order_relaxed)) return absl::OkStatus();
  return cluster::BrokerShuttingDown();
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
  return Serve<GetTopicRequest, GetTopicResponse>(*context, *request, *response,
                                                  [this](const auto& call) { Describe(call); });
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

void AdminService::Describe(const std::shared_ptr<GetTopicCall>& call) {
  const naru::v1::GetTopicRequest& request = call->request();
  if (const absl::Status valid = cluster::ValidateTopicName("name", request.name()); !valid.ok()) {
    return call->Finish(valid);
  }
  const absl::StatusOr<Topic> found = topics_.Current()->Find(request.name());
  if (!found.ok()) return call->Finish(found.status());
  absl::StatusOr<std::vector<int32_t>> chosen = ChosenPartitions(request, **found);
  if (!chosen.ok()) return call->Finish(chosen.status());
  naru::v1::Topic& topic = *call->response().mutable_topic();
  topic = ToMessage(**found);
  topic.mutable_partitions()->Reserve(static_cast<int>(chosen->size()));
  for (const int32_t partition : *chosen) {
    *topic.add_partitions() = ToMessage(partition, (*found)->partitions[static_cast<size_t>(partition)]);
  }
  // Each partition's leader says how far it is; the call is answered when the last has.
  const std::shared_ptr<Description> description(new Description{call, *found, topics_});
  for (size_t i = 0; i < chosen->size(); ++i) {
    const LogId log = (*found)->partitions[static_cast<size_t>((*chosen)[i])].log;
    logs_.AskInfo(log, [description, i](const absl::StatusOr<LogInfo>& info) { description->Set(i, info); });
  }
}

}  // namespace naru::services
