// What groups share out: partitions of topics, by the topics' ids. Values.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace naru::cluster {

// 16 bytes; a topic that is deleted and made again has another one, and so other committed offsets.
using TopicId = std::array<char, 16>;

struct GroupPartition {
  TopicId topic{};
  int32_t partition = 0;
  friend auto operator<=>(const GroupPartition&, const GroupPartition&) = default;
};

// What a group sees of the catalog: the topics there are, by name.
struct GroupTopic {
  TopicId id{};
  int32_t partition_count = 0;
  friend bool operator==(const GroupTopic&, const GroupTopic&) = default;
};
using GroupTopics = std::map<std::string, GroupTopic, std::less<>>;

}  // namespace naru::cluster
