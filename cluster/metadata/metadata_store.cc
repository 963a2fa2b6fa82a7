#include "cluster/metadata/metadata_store.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "cluster/metadata/topic_record.h"
#include "naru/internal/v1/metadata.pb.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::cluster {
namespace {

constexpr std::string_view kIdentityKey = "identity";
constexpr std::string_view kCountersKey = "counters";
constexpr std::string_view kTopicPrefix = "topic/";
constexpr size_t kClusterIdDigits = 32;

absl::Status Corrupt(std::string_view what) {
  return MakeError(Reason::kCorruptData, absl::StrCat("the metadata store is damaged: ", what));
}

bool IsClusterId(std::string_view id) {
  return id.size() == kClusterIdDigits && std::all_of(id.begin(), id.end(), absl::ascii_isxdigit);
}

std::string TopicKey(std::string_view name) { return absl::StrCat(kTopicPrefix, name); }

OrderedMapStore::Change CountersChange(const Counters& counters) {
  naru::internal::v1::CounterRecord record;
  record.set_next_log_id(counters.next_log.value());
  record.set_settled_log_id(counters.settled_log.value());
  record.set_version(counters.version);
  record.set_next_producer_id(counters.next_producer_id);
  return {std::string(kCountersKey), record.SerializeAsString()};
}

absl::StatusOr<std::optional<Identity>> ReadIdentity(const OrderedMapStore& map) {
  NARU_ASSIGN_OR_RETURN(const std::optional<std::string> value, map.Get(kIdentityKey));
  if (!value) return std::optional<Identity>();
  naru::internal::v1::IdentityRecord record;
  if (!record.ParseFromString(*value) || !IsClusterId(record.cluster_id()) || record.broker_id() < 1) {
    return Corrupt("\"identity\" cannot be read");
  }
  return std::optional<Identity>(Identity{record.cluster_id(), BrokerId(record.broker_id())});
}

absl::StatusOr<std::optional<Counters>> ReadCounters(const OrderedMapStore& map) {
  NARU_ASSIGN_OR_RETURN(const std::optional<std::string> value, map.Get(kCountersKey));
  if (!value) return std::optional<Counters>();
  naru::internal::v1::CounterRecord record;
  if (!record.ParseFromString(*value) || record.settled_log_id() < 1 ||
      record.settled_log_id() > record.next_log_id() || record.version() < 0 ||
      record.next_producer_id() < 0) {
    return Corrupt("\"counters\" cannot be read");
  }
  return std::optional<Counters>(Counters{
      .next_log = LogId(record.next_log_id()),
      .settled_log = LogId(record.settled_log_id()),
      .version = record.version(),
      .next_producer_id = std::max<int64_t>(record.next_producer_id(), 1),  // 0: none were ever reserved
  });
}

absl::StatusOr<std::shared_ptr<const TopicInfo>> ReadTopic(std::string_view key, std::string_view value) {
  naru::internal::v1::TopicRecord record;
  if (!record.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
    return Corrupt(absl::StrCat("\"", key, "\" cannot be read"));
  }
  if (TopicKey(record.name()) != key) {
    return Corrupt(absl::StrCat("\"", key, "\" holds topic \"", record.name(), "\""));
  }
  return FromRecord(record);
}

// Every log belongs to one partition, and was given out.
absl::Status CheckLogs(const StoredMetadata& stored) {
  absl::flat_hash_set<LogId> seen;
  for (const auto& topic : stored.topics) {
    for (const PartitionPlacement& partition : topic->partitions) {
      if (partition.log >= stored.counters.next_log) {
        return Corrupt(absl::StrCat("topic \"", topic->name, "\" has log ", partition.log.value(),
                                    ", and the counter stands at ", stored.counters.next_log.value()));
      }
      if (!seen.insert(partition.log).second) {
        return Corrupt(absl::StrCat("log ", partition.log.value(),
                                    " stands in two partitions, one of topic \"", topic->name, "\""));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<StoredMetadata> MetadataStore::Load() const {
  StoredMetadata stored;
  NARU_ASSIGN_OR_RETURN(stored.identity, ReadIdentity(map_));
  NARU_ASSIGN_OR_RETURN(const std::optional<Counters> counters, ReadCounters(map_));
  if (stored.identity.has_value() != counters.has_value()) {
    return Corrupt("of \"identity\" and \"counters\" one is missing");
  }
  absl::Status topics_read;
  NARU_RETURN_IF_ERROR(map_.Scan(kTopicPrefix, [&](std::string_view key, std::string_view value) {
    if (!topics_read.ok()) return;
    auto topic = ReadTopic(key, value);
    topics_read = topic.status();
    if (topic.ok()) stored.topics.push_back(*std::move(topic));
  }));
  NARU_RETURN_IF_ERROR(topics_read);
  if (!stored.identity && !stored.topics.empty()) return Corrupt("it holds topics and no \"identity\"");
  if (counters) stored.counters = *counters;
  NARU_RETURN_IF_ERROR(CheckLogs(stored));
  return stored;
}

absl::Status MetadataStore::WriteIdentity(const Identity& identity, const Counters& counters) {
  naru::internal::v1::IdentityRecord record;
  record.set_cluster_id(identity.cluster_id);
  record.set_broker_id(identity.broker.value());
  return map_.Write({{std::string(kIdentityKey), record.SerializeAsString()}, CountersChange(counters)});
}

absl::Status MetadataStore::WriteCounters(const Counters& counters) {
  return map_.Write({CountersChange(counters)});
}

absl::Status MetadataStore::PutTopic(const TopicInfo& topic, const Counters& counters) {
  return map_.Write({{TopicKey(topic.name), ToRecord(topic).SerializeAsString()}, CountersChange(counters)});
}

absl::Status MetadataStore::RemoveTopic(std::string_view name, const Counters& counters) {
  return map_.Write({{TopicKey(name), std::nullopt}, CountersChange(counters)});
}

}  // namespace naru::cluster
