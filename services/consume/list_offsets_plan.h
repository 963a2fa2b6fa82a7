// A ListOffsetsRequest, checked and completed. Pure.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "cluster/metadata/topic_catalog.h"
#include "naru/v1/consume.pb.h"
#include "services/consume/fetch_plan.h"

namespace naru::services {

struct ListOffsetsPlan {
  std::shared_ptr<const cluster::TopicInfo> topic;
  // Never an offset.
  StartPoint target;
  // In the order of the answer: as asked, or all of the topic. Some may not exist: each is answered by
  // itself.
  std::vector<int32_t> partitions;
};

// INVALID_FIELD, TOPIC_NOT_FOUND, TOPIC_ID_MISMATCH.
absl::StatusOr<ListOffsetsPlan> PlanListOffsets(const naru::v1::ListOffsetsRequest& request,
                                                const cluster::TopicCatalog& catalog);

}  // namespace naru::services
