#include "services/group/group_view.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "services/group/offset_commits.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::services {
namespace {

constexpr int32_t kPageSizeDefault = 1'000;
constexpr int32_t kPageSizeMax = 10'000;
constexpr std::string_view kTokenMark = "groups1/";

// By name and partition, as people look for them.
using ByName = std::map<std::pair<std::string, int32_t>,
                        std::pair<cluster::GroupPartition, std::shared_ptr<const cluster::TopicInfo>>>;

// Topics by id, each looked up once.
class TopicsById {
 public:
  explicit TopicsById(const cluster::TopicCatalog& catalog) {
    for (const auto& [name, topic] : catalog.topics) topics_[ToTopicId(topic->topic_id)] = topic;
  }
  std::shared_ptr<const cluster::TopicInfo> Find(const cluster::TopicId& id) const {
    const auto it = topics_.find(id);
    return it == topics_.end() ? nullptr : it->second;
  }

 private:
  std::map<cluster::TopicId, std::shared_ptr<const cluster::TopicInfo>> topics_;
};

struct Reader {
  std::string member_id;
  bool revoking = false;
};

void SetPosition(const cluster::CommittedOffset& committed, naru::v1::GroupPartition& message) {
  message.set_committed_offset(committed.offset);
  message.set_commit_time_ms(committed.commit_time_ms);
  message.set_metadata(committed.metadata);
}

absl::StatusOr<std::string> ReadToken(const std::string& token) {
  std::string content;
  if (token.empty()) return content;
  if (!absl::WebSafeBase64Unescape(token, &content) || !content.starts_with(kTokenMark)) {
    return InvalidField("page_token", absl::StrCat("a token of ", token.size(), " bytes"),
                        "give the next_page_token of the answer before, or nothing");
  }
  return content.substr(kTokenMark.size());
}

}  // namespace

naru::v1::GroupState ToMessage(cluster::GroupState state) {
  switch (state) {
    case cluster::GroupState::kEmpty:
      return naru::v1::GROUP_STATE_EMPTY;
    case cluster::GroupState::kReconciling:
      return naru::v1::GROUP_STATE_RECONCILING;
    case cluster::GroupState::kStable:
      return naru::v1::GROUP_STATE_STABLE;
  }
  return naru::v1::GROUP_STATE_UNSPECIFIED;
}

int64_t LagOf(const cluster::CommittedOffset* committed, const LogInfo& info) {
  const int64_t start = info.log_start.value();
  const int64_t next = committed == nullptr ? start : std::max(committed->offset, start);
  return std::max<int64_t>(0, info.readable_end.value() - next);
}

naru::v1::Group ToMessage(const cluster::GroupSnapshot& snapshot, const cluster::TopicCatalog& catalog,
                          LogInfoOf info) {
  naru::v1::Group group;
  group.set_group(snapshot.group);
  group.set_state(ToMessage(snapshot.state));
  group.set_epoch(snapshot.epoch);
  std::map<cluster::GroupPartition, Reader> readers;
  for (const cluster::GroupSnapshot::Member& member : snapshot.members) {
    naru::v1::GroupMember& message = *group.add_members();
    message.set_member_id(member.member_id);
    message.set_instance_id(member.instance_id);
    message.set_client(member.client);
    message.set_member_epoch(member.epoch);
    message.set_away(member.away);
    for (const std::string& topic : member.subscription.topics) message.add_topics(topic);
    message.set_topic_pattern(member.subscription.pattern);
    for (const auto& partition : member.owned) {
      readers[partition] = {member.member_id, member.revoking.contains(partition)};
    }
  }
  for (const auto& [partition, committed] : snapshot.offsets) readers.try_emplace(partition);

  const TopicsById topics(catalog);
  ByName partitions;
  for (const auto& [partition, reader] : readers) {
    const auto topic = topics.Find(partition.topic);
    if (topic == nullptr) continue;
    partitions[{topic->name, partition.partition}] = {partition, topic};
  }
  for (const auto& [key, value] : partitions) {
    const auto& [partition, topic] = value;
    naru::v1::GroupPartition& message = *group.add_partitions();
    message.set_topic(topic->name);
    message.set_topic_id(topic->topic_id);
    message.set_partition(partition.partition);
    message.set_member_id(readers[partition].member_id);
    message.set_revoking(readers[partition].revoking);
    const auto committed = snapshot.offsets.find(partition);
    if (committed != snapshot.offsets.end()) SetPosition(committed->second, message);
    const auto placement = FindPartition(*topic, partition.partition);
    const absl::StatusOr<LogInfo> log = placement.ok() ? info((*placement)->log) : placement.status();
    if (!log.ok()) continue;
    message.set_log_start_offset(log->log_start.value());
    message.set_high_watermark(log->readable_end.value());
    message.set_lag(LagOf(committed == snapshot.offsets.end() ? nullptr : &committed->second, *log));
  }
  return group;
}

std::set<LogId> LogsOf(const cluster::GroupSnapshot& snapshot, const cluster::TopicCatalog& catalog) {
  const TopicsById topics(catalog);
  std::set<LogId> logs;
  const auto add = [&](const cluster::GroupPartition& partition) {
    const auto topic = topics.Find(partition.topic);
    if (topic == nullptr) return;
    const auto placement = FindPartition(*topic, partition.partition);
    if (placement.ok()) logs.insert((*placement)->log);
  };
  for (const auto& [partition, committed] : snapshot.offsets) add(partition);
  for (const cluster::GroupSnapshot::Member& member : snapshot.members) {
    for (const cluster::GroupPartition& partition : member.owned) add(partition);
  }
  return logs;
}

absl::StatusOr<naru::v1::ListCommittedOffsetsResponse> ListCommitted(
    const naru::v1::ListCommittedOffsetsRequest& request, const cluster::CommittedOffsets& offsets,
    const cluster::TopicCatalog& catalog) {
  std::set<cluster::TopicId> wanted;
  for (const std::string& name : request.topics()) {
    NARU_ASSIGN_OR_RETURN(const auto topic, catalog.Find(name));
    wanted.insert(ToTopicId(topic->topic_id));
  }
  const TopicsById topics(catalog);
  ByName partitions;
  for (const auto& [partition, committed] : offsets) {
    const auto topic = topics.Find(partition.topic);
    if (topic == nullptr || (!wanted.empty() && !wanted.contains(partition.topic))) continue;
    partitions[{topic->name, partition.partition}] = {partition, topic};
  }
  naru::v1::ListCommittedOffsetsResponse response;
  for (const auto& [key, value] : partitions) {
    const cluster::CommittedOffset& committed = offsets.at(value.first);
    naru::v1::CommittedOffset& message = *response.add_offsets();
    message.set_topic(key.first);
    message.set_topic_id(value.second->topic_id);
    message.set_partition(key.second);
    message.set_offset(committed.offset);
    message.set_metadata(committed.metadata);
    message.set_commit_time_ms(committed.commit_time_ms);
  }
  return response;
}

absl::StatusOr<naru::v1::ListGroupsResponse> ListGroupsPage(const std::vector<cluster::GroupListing>& groups,
                                                            const naru::v1::ListGroupsRequest& request) {
  if (request.page_size() < 0) {
    return InvalidField("page_size", absl::StrCat(request.page_size()),
                        absl::StrCat("it is 0 (the default, ", kPageSizeDefault, ") to ", kPageSizeMax));
  }
  NARU_ASSIGN_OR_RETURN(const std::string last, ReadToken(request.page_token()));
  const int32_t page_size =
      request.page_size() == 0 ? kPageSizeDefault : std::min(request.page_size(), kPageSizeMax);
  auto next =
      std::upper_bound(groups.begin(), groups.end(), last,
                       [](const std::string& name, const auto& listing) { return name < listing.group; });
  naru::v1::ListGroupsResponse response;
  for (; next != groups.end() && response.groups_size() < page_size; ++next) {
    naru::v1::GroupSummary& summary = *response.add_groups();
    summary.set_group(next->group);
    summary.set_state(ToMessage(next->state));
    summary.set_member_count(static_cast<int32_t>(next->members));
  }
  if (next != groups.end()) {
    response.set_next_page_token(
        absl::WebSafeBase64Escape(absl::StrCat(kTokenMark, response.groups().rbegin()->group())));
  }
  return response;
}

}  // namespace naru::services
