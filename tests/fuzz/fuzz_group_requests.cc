// Requests of the group service against a small catalog: each is refused for a reason, or becomes a plan that
// stays within the catalog and the options. And a member's session, between a client, a group and a log that
// do anything they may: see group_session_model.h.
//
// Input: one byte that says which, then its bytes.
#include <google/protobuf/stubs/logging.h>

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "services/group/group_view.h"
#include "services/group/join_plan.h"
#include "services/group/offset_commits.h"
#include "tests/fuzz/group_session_model.h"
#include "tests/fuzz/refusals.h"

namespace naru::services {
namespace {

constexpr int64_t kEnd = 50;

// Topics "orders" of 3 partitions and "orders.eu" of 1.
cluster::TopicCatalog MakeCatalog() {
  cluster::TopicCatalog catalog;
  catalog.self = BrokerId(1);
  catalog.brokers = {{BrokerId(1), "127.0.0.1:9410"}};
  uint64_t log = 0;
  for (const auto& [name, partitions] : {std::pair("orders", 3), std::pair("orders.eu", 1)}) {
    auto topic = std::make_shared<cluster::TopicInfo>();
    topic->name = name;
    topic->topic_id = std::string(15, 't') + static_cast<char>('0' + partitions);
    while (topic->partition_count() < partitions) {
      topic->partitions.push_back({LogId(++log), BrokerId(1), LeaderEpoch(0), {BrokerId(1)}});
    }
    catalog.topics.emplace(name, std::move(topic));
  }
  return catalog;
}

const cluster::TopicCatalog kCatalog = MakeCatalog();
const ConsumeOptions kOptions;

void CheckJoin(const naru::v1::Join& join) {
  for (const MemberKind kind : {MemberKind::kStream, MemberKind::kPoller}) {
    const absl::StatusOr<JoinPlan> plan = PlanJoin(join, kind, "peer", kCatalog, kOptions);
    if (!plan.ok()) {
      CheckRefusal(plan.status());
      continue;
    }
    NARU_CHECK(plan->group == join.group() && !plan->group.empty() && plan->group.size() <= 249);
    NARU_CHECK(plan->join.member_id == join.member_id() && join.member_id().size() <= 249);
    NARU_CHECK(plan->join.instance_id == join.instance_id() && join.instance_id().size() <= 249);
    const cluster::GroupSubscription& subscription = plan->join.subscription;
    NARU_CHECK(!subscription.topics.empty() || !subscription.pattern.empty());
    NARU_CHECK(subscription.pattern == join.topic_pattern());
    // One that comes back may name topics that are gone.
    for (const std::string& topic : subscription.topics) {
      NARU_CHECK(!join.member_id().empty() || kCatalog.topics.contains(topic));
    }
    NARU_CHECK(plan->start >= naru::v1::START_POLICY_EARLIEST && plan->start <= naru::v1::START_POLICY_FAIL);
    NARU_CHECK(plan->commit_mode >= naru::v1::COMMIT_MODE_ON_ACK &&
               plan->commit_mode <= naru::v1::COMMIT_MODE_EXPLICIT);
    NARU_CHECK(plan->form == naru::v1::DELIVERY_RECORDS || plan->form == naru::v1::DELIVERY_STORED_BATCHES);
    NARU_CHECK(plan->message_bytes_max >= 1 && plan->message_bytes_max <= kOptions.message_bytes_max);
    NARU_CHECK(plan->unacked_bytes_max >= 1'024 && plan->unacked_bytes_max <= int64_t{1} << 30);
    for (const int64_t timeout_ms : {plan->join.session_timeout_ms, plan->join.rebalance_timeout_ms}) {
      NARU_CHECK(timeout_ms >= 1'000 && timeout_ms <= 1'800'000);
    }
    NARU_CHECK(plan->progress_timeout.count() >= 1'000 && plan->progress_timeout.count() <= 86'400'000);
    NARU_CHECK(plan->idle_interval.count() >= 100);
  }
}

void CheckCommits(const naru::v1::CommitOffsetsRequest& request) {
  const absl::StatusOr<cluster::CommittedOffsets> offsets =
      ReadOffsetCommits(request.offsets(), kCatalog, [](LogId) {
        LogInfo info;
        info.log_start = Offset(7);
        info.readable_end = info.end = info.durable_end = Offset(kEnd);
        return info;
      });
  if (!offsets.ok()) return CheckRefusal(offsets.status());
  NARU_CHECK(static_cast<int>(offsets->size()) == request.offsets_size() && !offsets->empty());
  for (const naru::v1::OffsetCommit& commit : request.offsets()) {
    const auto topic = kCatalog.topics.at(commit.topic());
    NARU_CHECK(commit.topic_id().empty() || commit.topic_id() == topic->topic_id);
    NARU_CHECK(commit.partition() >= 0 && commit.partition() < topic->partition_count());
    const auto it = offsets->find({ToTopicId(topic->topic_id), commit.partition()});
    NARU_CHECK(it != offsets->end());
    NARU_CHECK(it->second.offset == commit.offset() && it->second.metadata == commit.metadata());
    NARU_CHECK(commit.offset() >= 0 && commit.offset() <= kEnd && commit.metadata().size() <= 4'096);
  }
}

// Whatever the first page was, those after it go on behind it, and end.
void CheckPages(const naru::v1::ListGroupsRequest& request) {
  std::vector<cluster::GroupListing> groups;
  for (const char* name : {"a", "b", "b\xc3\xa4", "c", "d"}) groups.push_back({.group = name});
  naru::v1::ListGroupsRequest next = request;
  std::string last;
  for (size_t pages = 0;; ++pages) {
    NARU_CHECK(pages <= groups.size());
    const absl::StatusOr<naru::v1::ListGroupsResponse> page = ListGroupsPage(groups, next);
    if (!page.ok()) {
      NARU_CHECK(pages == 0);
      return CheckRefusal(page.status());
    }
    NARU_CHECK(request.page_size() == 0 || page->groups_size() <= request.page_size());
    for (const naru::v1::GroupSummary& summary : page->groups()) {
      NARU_CHECK(last < summary.group());
      last = summary.group();
    }
    if (page->next_page_token().empty()) break;
    NARU_CHECK(!page->groups().empty());
    next.set_page_token(page->next_page_token());
  }
  NARU_CHECK(!request.page_token().empty() || last == groups.back().group);
}

template <typename Request>
void Parsed(const std::string& bytes, void (*check)(const Request&)) {
  Request request;
  if (request.ParseFromString(bytes)) check(request);
}

void Run(uint8_t which, const std::string& bytes) {
  switch (which % 4) {
    case 0:
      return Parsed(bytes, CheckJoin);
    case 1:
      return Parsed(bytes, CheckCommits);
    case 2:
      return Parsed(bytes, CheckPages);
    default:
      return GroupSessionModel(bytes).Run();
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
