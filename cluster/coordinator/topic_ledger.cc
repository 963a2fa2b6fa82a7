#include "cluster/coordinator/topic_ledger.h"

#include <algorithm>
#include <utility>

#include "cluster/coordinator/placement.h"
#include "cluster/metadata/topic_config.h"
#include "storage/base/check.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::cluster {
namespace {

constexpr int32_t kPartitionsPerTopicMax = 100'000;

absl::Status InvalidOption(std::string_view name, int64_t value, std::string_view allowed) {
  return absl::InvalidArgumentError(absl::StrCat(name, ": ", value, " is not allowed; allowed: ", allowed));
}

}  // namespace

absl::Status TopicLimits::Validate() const {
  if (partitions_per_topic_max < 1 || partitions_per_topic_max > kPartitionsPerTopicMax) {
    return InvalidOption("partitions_per_topic_max", partitions_per_topic_max, "1 to 100000");
  }
  if (partitions_total_max < 1)
    return InvalidOption("partitions_total_max", partitions_total_max, "1 and more");
  if (record_bytes_max < 1) return InvalidOption("record_bytes_max", record_bytes_max, "1 and more");
  return absl::OkStatus();
}

TopicLedger::TopicLedger(const TopicLimits& limits, StoredMetadata stored, std::vector<BrokerInfo> brokers)
    : limits_(limits), counters_(stored.counters) {
  NARU_CHECK(stored.identity.has_value());
  NARU_CHECK(!brokers.empty());
  catalog_.version = counters_.version;
  catalog_.cluster_id = stored.identity->cluster_id;
  catalog_.self = stored.identity->broker;
  catalog_.brokers = std::move(brokers);
  for (std::shared_ptr<const TopicInfo>& topic : stored.topics) {
    partitions_total_ += topic->partition_count();
    const std::string& name = topic->name;
    catalog_.topics.emplace(name, std::move(topic));
  }
}

absl::StatusOr<TopicChange> TopicLedger::Create(const naru::v1::CreateTopicRequest& request,
                                                std::string_view topic_id, int64_t now_ms,
                                                Maker maker) const {
  NARU_RETURN_IF_ERROR(ValidateTopicName("name", request.name()));
  if (maker == Maker::kClient && IsReservedTopicName(request.name())) {
    return InvalidField("name", absl::StrCat("\"", request.name(), "\""),
                        "names that begin with \"__\" are reserved for internal topics");
  }
  if (catalog_.topics.contains(request.name())) {
    return MakeError(
        Reason::kTopicExists,
        absl::StrCat("name: topic \"", request.name(),
                     "\" exists already; choose another name, or delete it first with: naru topic delete ",
                     request.name()),
        {{"topic", request.name()}});
  }
  const int32_t partition_count = request.partition_count() == 0 ? 1 : request.partition_count();
  NARU_RETURN_IF_ERROR(CheckPartitionCount(partition_count, 1, 0, ""));
  const int32_t replication_factor = request.replication_factor() == 0 ? 1 : request.replication_factor();
  const auto broker_count = static_cast<int32_t>(catalog_.brokers.size());
  if (replication_factor < 1 || replication_factor > broker_count) {
    return InvalidField("replication_factor", absl::StrCat(replication_factor),
                        absl::StrCat("allowed: 1 to ", broker_count, " (the number of brokers)"));
  }
  NARU_ASSIGN_OR_RETURN(TopicConfig config,
                        MakeTopicConfig(request.config(), {.record_bytes_max = limits_.record_bytes_max,
                                                           .replication_factor = replication_factor}));
  auto topic = std::make_shared<TopicInfo>();
  topic->name = request.name();
  topic->topic_id = std::string(topic_id);
  topic->config = config;
  topic->create_time_ms = now_ms;
  topic->replication_factor = replication_factor;
  TopicChange change;
  change.counters = NextVersion();
  AddPartitions(partition_count, *topic, change);
  change.after = std::move(topic);
  return change;
}

absl::StatusOr<TopicChange> TopicLedger::Update(const naru::v1::UpdateTopicRequest& request) const {
  NARU_ASSIGN_OR_RETURN(std::shared_ptr<const TopicInfo> before, Find(request.name(), request.topic_id()));
  NARU_ASSIGN_OR_RETURN(const TopicConfig config,
                        UpdateTopicConfig(before->config, request.config(), request.update_mask(),
                                          {.record_bytes_max = limits_.record_bytes_max,
                                           .replication_factor = before->replication_factor}));
  TopicChange change{.before = before, .after = before, .counters = counters_};
  if (config == before->config) return change;
  auto after = std::make_shared<TopicInfo>(*before);
  after->config = config;
  change.after = std::move(after);
  change.counters = NextVersion();
  return change;
}

absl::StatusOr<TopicChange> TopicLedger::Grow(const naru::v1::CreatePartitionsRequest& request) const {
  NARU_ASSIGN_OR_RETURN(std::shared_ptr<const TopicInfo> before, Find(request.name(), request.topic_id()));
  const int32_t present = before->partition_count();
  const std::string why = absl::StrCat(
      "topic \"", before->name, "\" has ", present,
      " partitions, and partitions can only be added: taking one away would lose its records and move "
      "the keys of all others; ");
  NARU_RETURN_IF_ERROR(CheckPartitionCount(request.partition_count(), present + 1, present, why));
  auto after = std::make_shared<TopicInfo>(*before);
  TopicChange change;
  change.before = std::move(before);
  change.counters = NextVersion();
  AddPartitions(request.partition_count() - present, *after, change);
  change.after = std::move(after);
  return change;
}

absl::StatusOr<TopicChange> TopicLedger::Delete(const naru::v1::DeleteTopicRequest& request) const {
  TopicChange change;
  NARU_ASSIGN_OR_RETURN(change.before, Find(request.name(), request.topic_id()));
  change.counters = NextVersion();
  for (const PartitionPlacement& partition : change.before->partitions)
    change.logs_deleted.push_back(partition.log);
  return change;
}

TopicChange TopicLedger::Undo(const TopicChange& change) const {
  TopicChange undo{.before = change.after, .after = change.before, .counters = change.counters};
  undo.logs_deleted = change.logs_made;
  undo.counters.version += 1;
  return undo;
}

void TopicLedger::Apply(const TopicChange& change) {
  const std::string& name = (change.after ? change.after : change.before)->name;
  const auto known = catalog_.topics.find(name);
  if (known != catalog_.topics.end()) {
    partitions_total_ -= known->second->partition_count();
    catalog_.topics.erase(known);
  }
  if (change.after) {
    partitions_total_ += change.after->partition_count();
    catalog_.topics.emplace(name, change.after);
  }
  counters_ = change.counters;
  catalog_.version = counters_.version;
}

Counters TopicLedger::NextVersion() const {
  Counters counters = counters_;
  counters.version += 1;
  // The change before this one was carried out, or taken back.
  counters.settled_log = counters.next_log;
  return counters;
}

Counters TopicLedger::WithProducersReserved(int64_t end) const {
  Counters counters = counters_;
  counters.next_producer_id = end;
  return counters;
}

void TopicLedger::SetBrokerAddress(BrokerId broker, const std::string& address, const Counters& counters) {
  for (BrokerInfo& known : catalog_.brokers) {
    if (known.id == broker) known.address = address;
  }
  counters_ = counters;
  catalog_.version = counters_.version;
}

absl::StatusOr<LogDifference> TopicLedger::CompareLogs(const std::vector<LogId>& store_logs,
                                                       bool missing_allowed) const {
  if (!store_logs.empty() && store_logs.back() >= counters_.next_log) {
    return MakeError(
        Reason::kCorruptData,
        absl::StrCat("the store has log ", store_logs.back().value(), ", and the metadata has given out ",
                     "logs up to ", counters_.next_log.value() - 1,
                     " only: the metadata was lost, or is older than the store; nothing was changed"));
  }
  std::vector<LogId> wanted;
  for (const auto& [name, topic] : catalog_.topics) {
    for (const PartitionPlacement& partition : topic->partitions) wanted.push_back(partition.log);
  }
  std::sort(wanted.begin(), wanted.end());
  LogDifference difference;
  std::set_difference(wanted.begin(), wanted.end(), store_logs.begin(), store_logs.end(),
                      std::back_inserter(difference.missing));
  std::set_difference(store_logs.begin(), store_logs.end(), wanted.begin(), wanted.end(),
                      std::back_inserter(difference.unknown));
  if (!missing_allowed && !difference.missing.empty() && difference.missing.front() < counters_.settled_log) {
    const auto lost =
        std::lower_bound(difference.missing.begin(), difference.missing.end(), counters_.settled_log) -
        difference.missing.begin();
    return MakeError(Reason::kCorruptData,
                     absl::StrCat("the store lacks ", lost, " of the ", wanted.size(),
                                  " logs of the topics, log ", difference.missing.front().value(),
                                  " among them, and they were there before; nothing was changed"));
  }
  return difference;
}

absl::StatusOr<std::shared_ptr<const TopicInfo>> TopicLedger::Find(std::string_view name,
                                                                   std::string_view topic_id) const {
  NARU_RETURN_IF_ERROR(ValidateTopicName("name", name));
  NARU_ASSIGN_OR_RETURN(std::shared_ptr<const TopicInfo> topic, catalog_.Find(name, topic_id));
  NARU_RETURN_IF_ERROR(CheckChangeable("name", name));
  return topic;
}

absl::Status TopicLedger::CheckPartitionCount(int32_t count, int32_t least, int32_t present,
                                              std::string_view why) const {
  const int32_t most = limits_.partitions_per_topic_max;
  if (count < least || count > most) {
    const std::string allowed = least > most ? absl::StrCat("no topic can have more than ", most)
                                             : absl::StrCat("allowed: ", least, " to ", most);
    return InvalidField("partition_count", absl::StrCat(count), absl::StrCat(why, allowed));
  }
  if (partitions_total_ + count - present > limits_.partitions_total_max) {
    return InvalidField("partition_count", absl::StrCat(count),
                        absl::StrCat("all topics together may have ", limits_.partitions_total_max,
                                     " partitions, and there are ", partitions_total_, " already"));
  }
  return absl::OkStatus();
}

void TopicLedger::AddPartitions(int32_t count, TopicInfo& topic, TopicChange& change) const {
  std::vector<std::vector<BrokerId>> placed =
      PlaceReplicas(CountLeaders(catalog_), count, topic.replication_factor);
  topic.partitions.reserve(topic.partitions.size() + placed.size());
  for (std::vector<BrokerId>& replicas : placed) {
    const LogId log = change.counters.next_log;
    ++change.counters.next_log;
    change.logs_made.push_back(log);
    topic.partitions.push_back({log, replicas.front(), LeaderEpoch(0), std::move(replicas)});
  }
}

}  // namespace naru::cluster
