// A FetchRequest, checked and completed. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "cluster/metadata/topic_catalog.h"
#include "naru/v1/consume.pb.h"
#include "services/consume/consume_options.h"
#include "services/consume/delivery.h"

namespace naru::services {

// Where reading begins; one of three. Absent everywhere in the API means earliest.
struct StartPoint {
  enum class Kind { kEarliest, kLatest, kOffset, kTime };
  Kind kind = Kind::kEarliest;
  Offset offset;             // kOffset
  int64_t timestamp_ms = 0;  // kTime
};

// INVALID_FIELD for a position that is none.
absl::StatusOr<StartPoint> StartAtPosition(naru::v1::Position position);
// The form to deliver in; INVALID_FIELD for a number that is none.
absl::StatusOr<naru::v1::Delivery> CheckDelivery(naru::v1::Delivery delivery);

struct FetchPlan {
  std::shared_ptr<const cluster::TopicInfo> topic;
  int32_t partition = 0;
  LogId log;
  // Who leads it; 0: this broker.
  BrokerId leader{0};
  // It is not handed on.
  bool here_only = false;
  StartPoint start;
  naru::v1::Delivery form = naru::v1::DELIVERY_RECORDS;
  DeliveryBounds bounds;
  // Answer once this many bytes are there.
  int64_t min_bytes = 1;
  std::chrono::milliseconds max_wait{0};
};

// INVALID_FIELD, TOPIC_NOT_FOUND, TOPIC_ID_MISMATCH, PARTITION_NOT_FOUND, NOT_LEADER.
absl::StatusOr<FetchPlan> PlanFetch(const naru::v1::FetchRequest& request,
                                    const cluster::TopicCatalog& catalog, const ConsumeOptions& options);

// How long a call may wait that asked for `max_wait` and has `left` until its deadline: it ends somewhat
// before that, so that the answer still arrives.
std::chrono::nanoseconds WaitBeforeDeadline(std::chrono::nanoseconds max_wait, std::chrono::nanoseconds left);

}  // namespace naru::services
