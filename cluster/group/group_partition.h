// What groups share out: partitions of topics, by the topics' ids. Values.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "cluster/metadata/topic_partition.h"

namespace naru::cluster {

// By the topic's id: a topic that is deleted and made again has other committed offsets.
using GroupPartition = TopicPartition;

// What a group sees of the catalog: the topics there are, by name.
struct GroupTopic {
  TopicId id{};
  int32_t partition_count = 0;
  friend bool operator==(const GroupTopic&, const GroupTopic&) = default;
};
using GroupTopics = std::map<std::string, GroupTopic, std::less<>>;

}  // namespace naru::cluster
