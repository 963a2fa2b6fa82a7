#include "services/consume/list_offsets_plan.h"

#include <numeric>

#include "absl/strings/str_cat.h"
#include "storage/base/status.h"

namespace naru::services {
namespace {

absl::StatusOr<StartPoint> TargetOf(const naru::v1::ListOffsetsRequest& request) {
  if (request.target_case() == naru::v1::ListOffsetsRequest::kTimestampMs) {
    return StartPoint{.kind = StartPoint::Kind::kTime, .timestamp_ms = request.timestamp_ms()};
  }
  return StartAtPosition(request.position());
}

}  // namespace

absl::StatusOr<ListOffsetsPlan> PlanListOffsets(const naru::v1::ListOffsetsRequest& request,
                                                const cluster::TopicCatalog& catalog) {
  ListOffsetsPlan plan;
  NARU_ASSIGN_OR_RETURN(plan.topic, catalog.Find(request.topic(), request.topic_id()));
  NARU_ASSIGN_OR_RETURN(plan.target, TargetOf(request));
  if (request.partitions_size() > plan.topic->partition_count()) {
    return InvalidField("partitions", absl::StrCat("a list of ", request.partitions_size()),
                        absl::StrCat("topic \"", plan.topic->name, "\" has ", plan.topic->partition_count()));
  }
  plan.partitions.assign(request.partitions().begin(), request.partitions().end());
  if (plan.partitions.empty()) {
    plan.partitions.resize(static_cast<size_t>(plan.topic->partition_count()));
    std::iota(plan.partitions.begin(), plan.partitions.end(), 0);
  }
  return plan;
}

}  // namespace naru::services
