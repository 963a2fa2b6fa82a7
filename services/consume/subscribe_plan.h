// A SubscribeStart, checked and completed. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "cluster/metadata/topic_catalog.h"
#include "naru/v1/consume.pb.h"
#include "services/consume/consume_options.h"
#include "services/consume/fetch_plan.h"

namespace naru::services {

struct SubscribedPartition {
  size_t topic = 0;  // index of SubscribePlan::topics
  int32_t partition = 0;
  LogId log;
  StartPoint start;
  std::optional<Offset> end;
};

struct SubscribedTopic {
  std::shared_ptr<const cluster::TopicInfo> info;
  // All partitions, those added later too.
  bool whole = false;
};

struct SubscribePlan {
  std::vector<SubscribedTopic> topics;
  std::vector<SubscribedPartition> partitions;
  naru::v1::Delivery form = naru::v1::DELIVERY_RECORDS;
  int64_t message_bytes_max = 0;
  // Absent: no credit is kept.
  std::optional<int64_t> credit_bytes;
  std::chrono::milliseconds idle_interval{5000};
};

// INVALID_FIELD, TOPIC_NOT_FOUND, TOPIC_ID_MISMATCH, PARTITION_NOT_FOUND.
absl::StatusOr<SubscribePlan> PlanSubscribe(const naru::v1::SubscribeStart& start,
                                            const cluster::TopicCatalog& catalog,
                                            const ConsumeOptions& options);

}  // namespace naru::services
