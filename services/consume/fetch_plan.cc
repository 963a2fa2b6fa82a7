#include "services/consume/fetch_plan.h"

#include <algorithm>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::services {
namespace {

absl::Status CheckNotNegative(std::string_view field, int64_t value) {
  if (value >= 0) return absl::OkStatus();
  return InvalidField(field, absl::StrCat(value), "it is 0 or more");
}

absl::StatusOr<StartPoint> StartOf(const naru::v1::FetchRequest& request) {
  switch (request.start_case()) {
    case naru::v1::FetchRequest::kOffset:
      return StartPoint{.kind = StartPoint::Kind::kOffset, .offset = Offset(request.offset())};
    case naru::v1::FetchRequest::kTimestampMs:
      return StartPoint{.kind = StartPoint::Kind::kTime, .timestamp_ms = request.timestamp_ms()};
    case naru::v1::FetchRequest::kPosition:
      return StartAtPosition(request.position());
    case naru::v1::FetchRequest::START_NOT_SET:
      break;
  }
  return StartPoint();
}

}  // namespace

absl::StatusOr<StartPoint> StartAtPosition(naru::v1::Position position) {
  if (!naru::v1::Position_IsValid(position)) {
    return InvalidField("position", absl::StrCat(static_cast<int>(position)),
                        "it is POSITION_EARLIEST (1) or POSITION_LATEST (2)");
  }
  return StartPoint{.kind = position == naru::v1::POSITION_LATEST ? StartPoint::Kind::kLatest
                                                                  : StartPoint::Kind::kEarliest};
}

absl::StatusOr<naru::v1::Delivery> CheckDelivery(naru::v1::Delivery delivery) {
  if (!naru::v1::Delivery_IsValid(delivery)) {
    return InvalidField("delivery", absl::StrCat(static_cast<int>(delivery)),
                        "it is DELIVERY_RECORDS (1), DELIVERY_STORED_BATCHES (2) or absent");
  }
  return delivery == naru::v1::DELIVERY_UNSPECIFIED ? naru::v1::DELIVERY_RECORDS : delivery;
}

absl::StatusOr<FetchPlan> PlanFetch(const naru::v1::FetchRequest& request,
                                    const cluster::TopicCatalog& catalog, const ConsumeOptions& options) {
  FetchPlan plan;
  NARU_ASSIGN_OR_RETURN(plan.topic, catalog.Find(request.topic(), request.topic_id()));
  NARU_ASSIGN_OR_RETURN(const cluster::PartitionPlacement* placement,
                        FindPartition(*plan.topic, request.partition()));
  plan.partition = request.partition();
  plan.log = placement->log;
  plan.leader = LeaderElsewhere(catalog, *placement);
  if (request.has_leader_epoch()) {
    plan.here_only = true;
    NARU_RETURN_IF_ERROR(CheckNotNegative("leader_epoch", request.leader_epoch()));
    NARU_RETURN_IF_ERROR(
        CheckLedHere(catalog, *plan.topic, request.partition(), LeaderEpoch(request.leader_epoch())));
  }
  NARU_ASSIGN_OR_RETURN(plan.start, StartOf(request));
  NARU_ASSIGN_OR_RETURN(plan.form, CheckDelivery(request.delivery()));
  if (request.has_end_offset()) {
    NARU_RETURN_IF_ERROR(CheckNotNegative("end_offset", request.end_offset()));
    plan.bounds.end = Offset(request.end_offset());
  }
  NARU_RETURN_IF_ERROR(CheckNotNegative("max_bytes", request.max_bytes()));
  NARU_RETURN_IF_ERROR(CheckNotNegative("max_records", request.max_records()));
  NARU_RETURN_IF_ERROR(CheckNotNegative("min_bytes", request.min_bytes()));
  if (request.max_wait_ms() < 0 || request.max_wait_ms() > options.wait_ms_max) {
    return InvalidField("max_wait_ms", absl::StrCat(request.max_wait_ms()),
                        absl::StrCat("it is 0 to ", options.wait_ms_max));
  }
  plan.max_wait = std::chrono::milliseconds(request.max_wait_ms());
  const int64_t message_bytes = request.max_bytes() == 0
                                    ? options.message_bytes_max
                                    : std::min<int64_t>(request.max_bytes(), options.message_bytes_max);
  plan.bounds.bytes_max = std::max<int64_t>(message_bytes - Delivery::kFrameBytesMax, 1);
  plan.bounds.records_max = request.max_records();
  plan.min_bytes = std::clamp<int64_t>(request.min_bytes(), 1, plan.bounds.bytes_max);
  return plan;
}

std::chrono::nanoseconds WaitBeforeDeadline(std::chrono::nanoseconds max_wait,
                                            std::chrono::nanoseconds left) {
  constexpr std::chrono::nanoseconds kMarginMin = std::chrono::milliseconds(5);
  constexpr std::chrono::nanoseconds kMarginMax = std::chrono::milliseconds(200);
  const auto margin = std::clamp(left / 10, kMarginMin, kMarginMax);
  return std::clamp(left - margin, std::chrono::nanoseconds(0), max_wait);
}

}  // namespace naru::services
