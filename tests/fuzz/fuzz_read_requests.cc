// Requests of the consume service against a small catalog: each is refused for a reason, or becomes a plan
// that stays within the catalog and the options.
//
// Input: one byte that says which request, then its bytes.
#include <google/protobuf/stubs/logging.h>

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "services/consume/fetch_plan.h"
#include "services/consume/list_offsets_plan.h"
#include "services/consume/subscribe_plan.h"
#include "tests/fuzz/refusals.h"

namespace naru::services {
namespace {

// Topics "orders" of 3 partitions, "orders.eu" of 1, and "wide" of more than one subscription may have.
cluster::TopicCatalog MakeCatalog() {
  cluster::TopicCatalog catalog;
  catalog.self = BrokerId(1);
  catalog.brokers = {{BrokerId(1), "127.0.0.1:9410"}};
  uint64_t log = 0;
  for (const auto& [name, partitions] :
       {std::pair("orders", 3), std::pair("orders.eu", 1), std::pair("wide", 9)}) {
    auto topic = std::make_shared<cluster::TopicInfo>();
    topic->name = name;
    topic->topic_id = std::string(15, 't') + name[0];
    while (topic->partition_count() < partitions) {
      topic->partitions.push_back({LogId(++log), BrokerId(1), LeaderEpoch(0), {BrokerId(1)}});
    }
    catalog.topics.emplace(name, std::move(topic));
  }
  return catalog;
}

const cluster::TopicCatalog kCatalog = MakeCatalog();

ConsumeOptions MakeOptions() {
  ConsumeOptions options;
  options.subscription_partitions_max = 8;
  return options;
}

const ConsumeOptions kOptions = MakeOptions();

// The topic that the request names, and by id where it gives one.
void CheckTopic(const std::shared_ptr<const cluster::TopicInfo>& topic, const std::string& name,
                const std::string& topic_id) {
  NARU_CHECK(topic == kCatalog.topics.at(name));
  NARU_CHECK(topic_id.empty() || topic_id == topic->topic_id);
}

void CheckForm(naru::v1::Delivery form) {
  NARU_CHECK(form == naru::v1::DELIVERY_RECORDS || form == naru::v1::DELIVERY_STORED_BATCHES);
}

void CheckFetch(const naru::v1::FetchRequest& request) {
  const absl::StatusOr<FetchPlan> plan = PlanFetch(request, kCatalog, kOptions);
  if (!plan.ok()) return CheckRefusal(plan.status());
  CheckTopic(plan->topic, request.topic(), request.topic_id());
  NARU_CHECK(plan->partition == request.partition());
  NARU_CHECK(plan->log == plan->topic->partitions.at(static_cast<size_t>(plan->partition)).log);
  NARU_CHECK((plan->start.kind == StartPoint::Kind::kOffset) == request.has_offset());
  NARU_CHECK((plan->start.kind == StartPoint::Kind::kTime) == request.has_timestamp_ms());
  CheckForm(plan->form);
  NARU_CHECK(plan->bounds.end == Offset(request.has_end_offset() ? request.end_offset() : INT64_MAX));
  NARU_CHECK(plan->bounds.end >= Offset(0) && plan->bounds.records_max >= 0);
  NARU_CHECK(plan->bounds.bytes_max >= 1 && plan->bounds.bytes_max <= kOptions.message_bytes_max);
  NARU_CHECK(plan->min_bytes >= 1 && plan->min_bytes <= plan->bounds.bytes_max);
  NARU_CHECK(plan->max_wait.count() >= 0 && plan->max_wait.count() <= kOptions.wait_ms_max);
}

void CheckSubscribe(const naru::v1::SubscribeRequest& request) {
  if (!request.has_start()) return;
  const naru::v1::SubscribeStart& start = request.start();
  const absl::StatusOr<SubscribePlan> plan = PlanSubscribe(start, kCatalog, kOptions);
  if (!plan.ok()) return CheckRefusal(plan.status());
  CheckForm(plan->form);
  NARU_CHECK(plan->message_bytes_max >= 1 && plan->message_bytes_max <= kOptions.message_bytes_max);
  NARU_CHECK(!plan->credit_bytes || *plan->credit_bytes > 0);
  NARU_CHECK(plan->idle_interval.count() >= 100);
  NARU_CHECK(static_cast<int>(plan->topics.size()) == start.topics_size());
  for (int i = 0; i < start.topics_size(); ++i) {
    const SubscribedTopic& topic = plan->topics[static_cast<size_t>(i)];
    CheckTopic(topic.info, start.topics(i).topic(), start.topics(i).topic_id());
    NARU_CHECK(topic.whole == start.topics(i).partitions().empty());
  }
  NARU_CHECK(!plan->partitions.empty());
  NARU_CHECK(static_cast<int64_t>(plan->partitions.size()) <= kOptions.subscription_partitions_max);
  std::set<LogId> logs;
  for (const SubscribedPartition& partition : plan->partitions) {
    const cluster::TopicInfo& topic = *plan->topics.at(partition.topic).info;
    NARU_CHECK(partition.log == topic.partitions.at(static_cast<size_t>(partition.partition)).log);
    NARU_CHECK(logs.insert(partition.log).second);
    NARU_CHECK(partition.end.value_or(Offset(0)) >= Offset(0));
  }
}

void CheckListOffsets(const naru::v1::ListOffsetsRequest& request) {
  const absl::StatusOr<ListOffsetsPlan> plan = PlanListOffsets(request, kCatalog);
  if (!plan.ok()) return CheckRefusal(plan.status());
  CheckTopic(plan->topic, request.topic(), request.topic_id());
  NARU_CHECK(plan->target.kind != StartPoint::Kind::kOffset);
  NARU_CHECK((plan->target.kind == StartPoint::Kind::kTime) == request.has_timestamp_ms());
  NARU_CHECK(!plan->partitions.empty());
  NARU_CHECK(static_cast<int32_t>(plan->partitions.size()) <= plan->topic->partition_count());
  for (int i = 0; i < request.partitions_size(); ++i) {
    NARU_CHECK(plan->partitions[static_cast<size_t>(i)] == request.partitions(i));
  }
}

template <typename Request>
void Parsed(const std::string& bytes, void (*check)(const Request&)) {
  Request request;
  if (request.ParseFromString(bytes)) check(request);
}

void Run(uint8_t which, const std::string& bytes) {
  switch (which % 3) {
    case 0:
      return Parsed(bytes, CheckFetch);
    case 1:
      return Parsed(bytes, CheckSubscribe);
    default:
      return Parsed(bytes, CheckListOffsets);
  }
}

}  // namespace
}  // namespace naru::services

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const google::protobuf::LogSilencer silence;
  (void)silence;
  if (size < 1) return 0;
  naru::services::Run(data[0], std::string(reinterpret_cast<const char*>(data) + 1, size - 1));
  return 0;
}
