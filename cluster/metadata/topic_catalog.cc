#include "cluster/metadata/topic_catalog.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::cluster {
namespace {

constexpr size_t kNameBytesMax = 249;

bool IsNameCharacter(char c) { return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-'; }

}  // namespace

absl::Status ValidateTopicName(std::string_view field, std::string_view name) {
  constexpr std::string_view kAllowed =
      "a topic's name is 1 to 249 of [A-Za-z0-9._-], and not \".\" or \"..\"";
  if (name.empty()) return InvalidField(field, "an empty name", kAllowed);
  if (name.size() > kNameBytesMax) {
    return InvalidField(field, absl::StrCat("a name of ", name.size(), " bytes"), kAllowed);
  }
  bool valid = name != "." && name != "..";
  for (const char c : name) valid = valid && IsNameCharacter(c);
  if (!valid)
    return InvalidField(field, absl::StrCat("\"", absl::Utf8SafeCEscape(Absl(name)), "\""), kAllowed);
  return absl::OkStatus();
}

bool IsReservedTopicName(std::string_view name) { return name.starts_with("__"); }

absl::Status CheckChangeable(std::string_view field, std::string_view topic) {
  if (!IsReservedTopicName(topic)) return absl::OkStatus();
  return InvalidField(
      field, absl::StrCat("\"", topic, "\""),
      "internal topics, whose names begin with \"__\", can be read, but neither written, changed "
      "nor deleted");
}

absl::StatusOr<std::shared_ptr<const TopicInfo>> TopicCatalog::Find(std::string_view name,
                                                                    std::string_view topic_id) const {
  const auto it = topics.find(name);
  if (it == topics.end()) {
    NARU_RETURN_IF_ERROR(ValidateTopicName("topic", name));
  }
  if (!topic_id.empty() && topic_id.size() != kTopicIdBytes) {
    return InvalidField("topic_id", absl::StrCat("an id of ", topic_id.size(), " bytes"),
                        "a topic's id is 16 bytes, or absent");
  }
  if (it == topics.end()) {
    return MakeError(Reason::kTopicNotFound,
                     absl::StrCat("topic \"", name, "\" does not exist; create it with: naru topic create ",
                                  name, " --partitions N"),
                     {{"topic", std::string(name)}});
  }
  const std::shared_ptr<const TopicInfo>& topic = it->second;
  if (!topic_id.empty() && topic_id != topic->topic_id) {
    const std::string actual = absl::BytesToHexString(topic->topic_id);
    return MakeError(
        Reason::kTopicIdMismatch,
        absl::StrCat("topic_id: ", absl::BytesToHexString(Absl(topic_id)), " is not the id of topic \"", name,
                     "\", which is ", actual, "; the topic was deleted and made again"),
        {{"topic_id", actual}});
  }
  return topic;
}

absl::Status CheckLedHere(const TopicCatalog& catalog, const TopicInfo& topic, int32_t partition,
                          LeaderEpoch leader_epoch) {
  const PartitionPlacement& placement = topic.partitions[static_cast<size_t>(partition)];
  if (placement.leader == catalog.self && placement.leader_epoch == leader_epoch) return absl::OkStatus();
  const std::string name = absl::StrCat("partition ", partition, " of topic \"", topic.name, "\"");
  if (placement.leader == BrokerId(0)) {
    return MakeError(Reason::kNoLeader, absl::StrCat(name, " has no leader at present; try again"));
  }
  std::string address;
  for (const BrokerInfo& broker : catalog.brokers) {
    if (broker.id == placement.leader) address = broker.address;
  }
  return MakeError(Reason::kNotLeader,
                   absl::StrCat("leader_epoch: ", leader_epoch.value(), " is not allowed at broker ",
                                catalog.self.value(), "; ", name, " is led by broker ",
                                placement.leader.value(), " at ", address, " in leader epoch ",
                                placement.leader_epoch.value(), "; ask there, or leave leader_epoch out"),
                   {{"leader", absl::StrCat(placement.leader.value())},
                    {"address", address},
                    {"leader_epoch", absl::StrCat(placement.leader_epoch.value())}});
}

BrokerId LeaderElsewhere(const TopicCatalog& catalog, const PartitionPlacement& partition) {
  return partition.leader == catalog.self ? BrokerId(0) : partition.leader;
}

std::shared_ptr<const TopicInfo> TopicCatalog::FindById(std::string_view topic_id) const {
  for (const auto& [name, topic] : topics) {
    if (topic->topic_id == topic_id) return topic;
  }
  return nullptr;
}

PartitionCounts CountPartitions(const TopicCatalog& catalog) {
  PartitionCounts counts;
  for (const auto& [name, topic] : catalog.topics) {
    counts.partitions += topic->partition_count();
    for (const PartitionPlacement& partition : topic->partitions) {
      counts.offline += partition.leader == BrokerId(0) ? 1 : 0;
      const bool all = !partition.in_sync || partition.in_sync->size() == partition.replicas.size();
      counts.under_replicated += all ? 0 : 1;
    }
  }
  return counts;
}

absl::StatusOr<const PartitionPlacement*> FindPartition(const TopicInfo& topic, int32_t partition) {
  if (partition >= 0 && partition < topic.partition_count()) return &topic.partitions[partition];
  return MakeError(Reason::kPartitionNotFound,
                   absl::StrCat("partition: ", partition, " does not exist; topic \"", topic.name,
                                "\" has partitions 0 to ", topic.partition_count() - 1),
                   {{"partitions", absl::StrCat(topic.partition_count())}});
}

absl::Status TopicDeleted(std::string_view name) {
  return MakeError(Reason::kTopicNotFound, absl::StrCat("topic \"", name, "\" was deleted"),
                   {{"topic", std::string(name)}});
}

absl::Status LogStatusForClient(const TopicCatalog& now, const TopicInfo& topic, int32_t partition,
                                const absl::Status& status) {
  if (ReasonOf(status) != Reason::kPartitionNotFound) return status;
  const auto it = now.topics.find(topic.name);
  if (it == now.topics.end() || it->second->topic_id != topic.topic_id) return TopicDeleted(topic.name);
  return MakeError(Reason::kPartitionNotFound,
                   absl::StrCat("partition: ", partition, " of topic \"", topic.name,
                                "\" has no log on this broker; describe the topic and try again"),
                   {{"partitions", absl::StrCat(topic.partition_count())}});
}

}  // namespace naru::cluster
