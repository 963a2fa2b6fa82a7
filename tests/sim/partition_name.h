// Topics and partitions of a simulated cluster as traces name them.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

#include "cluster/metadata/topic_partition.h"
#include "storage/base/strings.h"

namespace naru::sim {

inline cluster::TopicId MakeTopicId(int64_t number) {
  cluster::TopicId id{};
  std::memcpy(id.data(), &number, sizeof(number));
  return id;
}

// Those that are there from the beginning; others have greater numbers.
inline constexpr int64_t kLastingTopic = 1;
inline constexpr int64_t kGroupsTopic = 2;

// "0" of the clients' topic that is there from the beginning, "groups/0", "1003/0" of others.
inline std::string Name(const cluster::TopicPartition& partition) {
  int64_t number = 0;
  std::memcpy(&number, partition.topic.data(), sizeof(number));
  if (number == kLastingTopic) return absl::StrCat(partition.partition);
  if (number == kGroupsTopic) return absl::StrCat("groups/", partition.partition);
  return absl::StrCat(number, "/", partition.partition);
}

}  // namespace naru::sim
