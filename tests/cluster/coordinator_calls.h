// The coordinator's requests, waited for.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/synchronization/notification.h"
#include "cluster/coordinator/topic_coordinator.h"

namespace naru::cluster {

using TopicResult = absl::StatusOr<std::shared_ptr<const TopicInfo>>;

template <typename Result, typename Call>
Result WaitFor(const Call& call) {
  absl::Notification done;
  Result result{absl::UnknownError("not done")};
  call([&](Result outcome) {
    result = std::move(outcome);
    done.Notify();
  });
  done.WaitForNotification();
  return result;
}

inline naru::v1::CreateTopicRequest CreateRequest(const std::string& name, int32_t partitions) {
  naru::v1::CreateTopicRequest request;
  request.set_name(name);
  request.set_partition_count(partitions);
  return request;
}

inline TopicResult Create(TopicCoordinator& coordinator, const naru::v1::CreateTopicRequest& request) {
  return WaitFor<TopicResult>([&](auto done) { coordinator.CreateTopic(request, std::move(done)); });
}

inline TopicResult Create(TopicCoordinator& coordinator, const std::string& name, int32_t partitions) {
  return Create(coordinator, CreateRequest(name, partitions));
}

inline TopicResult Grow(TopicCoordinator& coordinator, const std::string& name, int32_t partitions) {
  naru::v1::CreatePartitionsRequest request;
  request.set_name(name);
  request.set_partition_count(partitions);
  return WaitFor<TopicResult>([&](auto done) { coordinator.CreatePartitions(request, std::move(done)); });
}

inline TopicResult SetRetention(TopicCoordinator& coordinator, const std::string& name,
                                int64_t retention_ms) {
  naru::v1::UpdateTopicRequest request;
  request.set_name(name);
  request.mutable_config()->set_retention_ms(retention_ms);
  return WaitFor<TopicResult>([&](auto done) { coordinator.UpdateTopic(request, std::move(done)); });
}

inline absl::Status Delete(TopicCoordinator& coordinator, const std::string& name,
                           const std::string& topic_id = {}) {
  naru::v1::DeleteTopicRequest request;
  request.set_name(name);
  request.set_topic_id(topic_id);
  return WaitFor<absl::Status>([&](auto done) { coordinator.DeleteTopic(request, std::move(done)); });
}

using ProducerResult = absl::StatusOr<ProducerIdentity>;

inline ProducerResult InitProducer(TopicCoordinator& coordinator,
                                   std::optional<ProducerIdentity> known = std::nullopt) {
  return WaitFor<ProducerResult>([&](auto done) { coordinator.InitProducer(known, std::move(done)); });
}

}  // namespace naru::cluster
