#include "services/consume/subscribe_plan.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "storage/base/status.h"

namespace naru::services {
namespace {

constexpr int32_t kIdleIntervalMsMin = 100;

using PartitionSet = absl::flat_hash_set<std::pair<std::string, int32_t>>;

absl::StatusOr<StartPoint> StartOf(const naru::v1::TopicSubscription& topic) {
  if (topic.start_case() == naru::v1::TopicSubscription::kTimestampMs) {
    return StartPoint{.kind = StartPoint::Kind::kTime, .timestamp_ms = topic.timestamp_ms()};
  }
  return StartAtPosition(topic.position());
}

absl::Status AddPartition(SubscribedPartition partition, const ConsumeOptions& options, PartitionSet& named,
                          SubscribePlan& plan) {
  const std::string& topic = plan.topics[partition.topic].info->name;
  if (!named.emplace(topic, partition.partition).second) {
    return InvalidField("partitions",
                        absl::StrCat("partition ", partition.partition, " of topic \"", topic, "\" twice"),
                        "a partition is named once");
  }
  if (static_cast<int64_t>(plan.partitions.size()) == options.subscription_partitions_max) {
    return InvalidField("topics",
                        absl::StrCat("more than ", options.subscription_partitions_max, " partitions"),
                        "subscribe to fewer with one stream");
  }
  plan.partitions.push_back(std::move(partition));
  return absl::OkStatus();
}

absl::StatusOr<SubscribedPartition> PlanPartition(const naru::v1::PartitionSubscription& request,
                                                  const cluster::TopicInfo& topic, const StartPoint& start) {
  NARU_ASSIGN_OR_RETURN(const cluster::PartitionPlacement* placement,
                        FindPartition(topic, request.partition()));
  SubscribedPartition partition{.partition = request.partition(), .log = placement->log, .start = start};
  if (request.has_offset()) {
    partition.start = {.kind = StartPoint::Kind::kOffset, .offset = Offset(request.offset())};
  }
  if (request.has_end_offset()) {
    if (request.end_offset() < 0) {
      return InvalidField("end_offset", absl::StrCat(request.end_offset()), "it is 0 or more");
    }
    partition.end = Offset(request.end_offset());
  }
  return partition;
}

absl::Status PlanTopic(const naru::v1::TopicSubscription& request, const cluster::TopicCatalog& catalog,
                       const ConsumeOptions& options, PartitionSet& named, SubscribePlan& plan) {
  SubscribedTopic topic;
  NARU_ASSIGN_OR_RETURN(topic.info, catalog.Find(request.topic(), request.topic_id()));
  topic.whole = request.partitions().empty();
  NARU_ASSIGN_OR_RETURN(const StartPoint start, StartOf(request));
  const size_t index = plan.topics.size();
  plan.topics.push_back(topic);
  for (const naru::v1::PartitionSubscription& item : request.partitions()) {
    NARU_ASSIGN_OR_RETURN(SubscribedPartition partition, PlanPartition(item, *topic.info, start));
    partition.topic = index;
    NARU_RETURN_IF_ERROR(AddPartition(std::move(partition), options, named, plan));
  }
  for (int32_t i = 0; topic.whole && i < topic.info->partition_count(); ++i) {
    const LogId log = topic.info->partitions[static_cast<size_t>(i)].log;
    NARU_RETURN_IF_ERROR(
        AddPartition({.topic = index, .partition = i, .log = log, .start = start}, options, named, plan));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SubscribePlan> PlanSubscribe(const naru::v1::SubscribeStart& start,
                                            const cluster::TopicCatalog& catalog,
                                            const ConsumeOptions& options) {
  SubscribePlan plan;
  NARU_ASSIGN_OR_RETURN(plan.form, CheckDelivery(start.delivery()));
  if (start.max_message_bytes() < 0) {
    return InvalidField("max_message_bytes", absl::StrCat(start.max_message_bytes()), "it is 0 or more");
  }
  plan.message_bytes_max = start.max_message_bytes() == 0
                               ? options.message_bytes_max
                               : std::min<int64_t>(start.max_message_bytes(), options.message_bytes_max);
  if (start.credit_bytes() < 0) {
    return InvalidField("credit_bytes", absl::StrCat(start.credit_bytes()), "it is 0 or more");
  }
  if (start.credit_bytes() > 0) plan.credit_bytes = start.credit_bytes();
  if (start.idle_interval_ms() != 0) {
    if (start.idle_interval_ms() < kIdleIntervalMsMin) {
      return InvalidField("idle_interval_ms", absl::StrCat(start.idle_interval_ms()),
                          absl::StrCat("it is ", kIdleIntervalMsMin, " or more, or 0 for 5000"));
    }
    plan.idle_interval = std::chrono::milliseconds(start.idle_interval_ms());
  }
  if (start.topics().empty()) return InvalidField("topics", "an empty list", "name at least one topic");
  PartitionSet named;
  for (const naru::v1::TopicSubscription& topic : start.topics()) {
    NARU_RETURN_IF_ERROR(PlanTopic(topic, catalog, options, named, plan));
  }
  return plan;
}

}  // namespace naru::services
