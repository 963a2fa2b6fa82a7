#include "services/group/join_plan.h"

#include <re2/re2.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/consume/fetch_plan.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::services {
namespace {

constexpr size_t kNameBytesMax = 249;
constexpr size_t kPatternBytesMax = 1'024;
constexpr int kTopicsMax = 10'000;
// Of the automaton that a pattern becomes.
constexpr int64_t kPatternMemoryBytes = 1 << 20;

// A setting in milliseconds or bytes: 0 stands for `by_default`.
struct Range {
  std::string_view field;
  int64_t least;
  int64_t most;
  int64_t by_default;
};
constexpr Range kUnackedBytes{"join.unacked_bytes_max", 1'024, int64_t{1} << 30, int64_t{8} << 20};
constexpr Range kStreamSessionTimeout{"join.session_timeout_ms", 1'000, 1'800'000, 10'000};
constexpr Range kPollerSessionTimeout{"join.session_timeout_ms", 1'000, 1'800'000, 45'000};
constexpr Range kRebalanceTimeout{"join.rebalance_timeout_ms", 1'000, 1'800'000, 60'000};
constexpr Range kProgressTimeout{"join.progress_timeout_ms", 1'000, 86'400'000, 300'000};
constexpr Range kIdleInterval{"join.idle_interval_ms", 100, INT32_MAX, 5'000};

absl::StatusOr<int64_t> Within(const Range& range, int64_t value) {
  if (value == 0) return range.by_default;
  if (value >= range.least && value <= range.most) return value;
  return InvalidField(
      range.field, absl::StrCat(value),
      absl::StrCat("it is ", range.least, " to ", range.most, ", or 0 for ", range.by_default));
}

absl::Status CheckLength(std::string_view field, const std::string& value) {
  if (value.size() <= kNameBytesMax) return absl::OkStatus();
  return InvalidField(field, absl::StrCat(value.size(), " bytes"),
                      absl::StrCat("it has at most ", kNameBytesMax));
}

// A value of an enum that is declared; 0 stands for `by_default`.
template <typename Enum>
absl::StatusOr<Enum> Known(std::string_view field, Enum value, bool valid, Enum by_default,
                           std::string_view allowed) {
  if (!valid) return InvalidField(field, absl::StrCat(static_cast<int>(value)), allowed);
  return static_cast<int>(value) == 0 ? by_default : value;
}

absl::Status PlanTopics(const naru::v1::Join& join, const cluster::TopicCatalog& catalog,
                        cluster::GroupSubscription& subscription) {
  if (join.topics().empty() && join.topic_pattern().empty()) {
    return InvalidField("join.topics", "an empty list", "name at least one topic, or give topic_pattern");
  }
  if (join.topics_size() > kTopicsMax) {
    return InvalidField("join.topics", absl::StrCat("a list of ", join.topics_size()),
                        absl::StrCat("name at most ", kTopicsMax));
  }
  // One that comes back goes on with what is left, as it would have without a break.
  const bool comes_back = !join.member_id().empty();
  for (const std::string& topic : join.topics()) {
    NARU_RETURN_IF_ERROR(comes_back ? cluster::ValidateTopicName("join.topics", topic)
                                    : catalog.Find(topic).status());
    subscription.topics.insert(topic);
  }
  if (join.topic_pattern().empty()) return absl::OkStatus();
  if (join.topic_pattern().size() > kPatternBytesMax) {
    return InvalidField("join.topic_pattern", absl::StrCat(join.topic_pattern().size(), " bytes"),
                        absl::StrCat("it has at most ", kPatternBytesMax));
  }
  RE2::Options quiet(RE2::Quiet);
  quiet.set_max_mem(kPatternMemoryBytes);
  if (const RE2 pattern(join.topic_pattern(), quiet); !pattern.ok()) {
    return InvalidField("join.topic_pattern", absl::StrCat("\"", join.topic_pattern(), "\""),
                        absl::StrCat("it is an RE2 regular expression, and this is none: ", pattern.error()));
  }
  subscription.pattern = join.topic_pattern();
  return absl::OkStatus();
}

absl::Status PlanTimes(const naru::v1::Join& join, MemberKind kind, JoinPlan& plan) {
  NARU_ASSIGN_OR_RETURN(plan.unacked_bytes_max, Within(kUnackedBytes, join.unacked_bytes_max()));
  NARU_ASSIGN_OR_RETURN(plan.join.session_timeout_ms,
                        Within(kind == MemberKind::kStream ? kStreamSessionTimeout : kPollerSessionTimeout,
                               join.session_timeout_ms()));
  NARU_ASSIGN_OR_RETURN(plan.join.rebalance_timeout_ms,
                        Within(kRebalanceTimeout, join.rebalance_timeout_ms()));
  NARU_ASSIGN_OR_RETURN(const int64_t progress_ms, Within(kProgressTimeout, join.progress_timeout_ms()));
  plan.progress_timeout = std::chrono::milliseconds(progress_ms);
  NARU_ASSIGN_OR_RETURN(const int64_t idle_ms, Within(kIdleInterval, join.idle_interval_ms()));
  plan.idle_interval = std::chrono::milliseconds(idle_ms);
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateGroupName(std::string_view field, std::string_view name) {
  constexpr std::string_view kAllowed = "it has 1 to 249 bytes and no control characters";
  if (name.empty()) return InvalidField(field, "an empty name", kAllowed);
  if (name.size() > kNameBytesMax) {
    return InvalidField(field, absl::StrCat("a name of ", name.size(), " bytes"), kAllowed);
  }
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  // U+0080 to U+009F, in UTF-8.
  const auto begins_c1 = [](char a, char b) { return a == '\xc2' && static_cast<unsigned char>(b) < 0xa0; };
  if (std::any_of(name.begin(), name.end(), control) ||
      std::adjacent_find(name.begin(), name.end(), begins_c1) != name.end()) {
    return InvalidField(field, "a name with a control character", kAllowed);
  }
  return absl::OkStatus();
}

absl::StatusOr<JoinPlan> PlanJoin(const naru::v1::Join& join, MemberKind kind, std::string_view peer,
                                  const cluster::TopicCatalog& catalog, const ConsumeOptions& options) {
  JoinPlan plan{.group = join.group()};
  NARU_RETURN_IF_ERROR(ValidateGroupName("join.group", join.group()));
  NARU_RETURN_IF_ERROR(CheckLength("join.member_id", join.member_id()));
  NARU_RETURN_IF_ERROR(CheckLength("join.instance_id", join.instance_id()));
  NARU_RETURN_IF_ERROR(CheckLength("join.client_id", join.client_id()));
  plan.join.member_id = join.member_id();
  plan.join.instance_id = join.instance_id();
  plan.join.client =
      join.client_id().empty() ? std::string(peer) : absl::StrCat(join.client_id(), " ", Absl(peer));
  NARU_RETURN_IF_ERROR(PlanTopics(join, catalog, plan.join.subscription));
  NARU_ASSIGN_OR_RETURN(
      plan.start, Known("join.start", join.start(), naru::v1::StartPolicy_IsValid(join.start()),
                        naru::v1::START_POLICY_EARLIEST,
                        "it is START_POLICY_EARLIEST (1), START_POLICY_LATEST (2) or START_POLICY_FAIL (3)"));
  NARU_ASSIGN_OR_RETURN(
      plan.commit_mode,
      Known("join.commit_mode", join.commit_mode(), naru::v1::CommitMode_IsValid(join.commit_mode()),
            naru::v1::COMMIT_MODE_ON_ACK,
            "it is COMMIT_MODE_ON_ACK (1), COMMIT_MODE_ON_DELIVERY (2) or COMMIT_MODE_EXPLICIT (3)"));
  NARU_ASSIGN_OR_RETURN(plan.form, CheckDelivery(join.delivery()));
  if (join.max_message_bytes() < 0) {
    return InvalidField("join.max_message_bytes", absl::StrCat(join.max_message_bytes()), "it is 0 or more");
  }
  plan.message_bytes_max = join.max_message_bytes() == 0
                               ? options.message_bytes_max
                               : std::min<int64_t>(join.max_message_bytes(), options.message_bytes_max);
  NARU_RETURN_IF_ERROR(PlanTimes(join, kind, plan));
  return plan;
}

}  // namespace naru::services
