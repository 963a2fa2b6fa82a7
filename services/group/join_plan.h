// What a client asks of a membership, checked and completed. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "cluster/group/group_event.h"
#include "cluster/metadata/topic_catalog.h"
#include "naru/v1/group.pb.h"
#include "services/consume/consume_options.h"

namespace naru::services {

struct JoinPlan {
  std::string group;
  // Without a session and a requester; without a member_id where the client gave none.
  cluster::JoinGroup join;
  naru::v1::StartPolicy start = naru::v1::START_POLICY_EARLIEST;
  naru::v1::CommitMode commit_mode = naru::v1::COMMIT_MODE_ON_ACK;
  naru::v1::Delivery form = naru::v1::DELIVERY_RECORDS;
  int64_t message_bytes_max = 0;
  int64_t unacked_bytes_max = 0;
  std::chrono::milliseconds progress_timeout{0};
  std::chrono::milliseconds idle_interval{0};
};

// A Consume stream that breaks is noticed; a poller that died is only missed.
enum class MemberKind { kStream, kPoller };

// `peer` is the client's address, for people. INVALID_FIELD join.…, TOPIC_NOT_FOUND.
absl::StatusOr<JoinPlan> PlanJoin(const naru::v1::Join& join, MemberKind kind, std::string_view peer,
                                  const cluster::TopicCatalog& catalog, const ConsumeOptions& options);

// 1 to 249 bytes of UTF-8 without control characters. INVALID_FIELD, with `field`.
absl::Status ValidateGroupName(std::string_view field, std::string_view name);

}  // namespace naru::services
