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

// "0" of the topic that is there from the beginning, "1003/0" of others.
inline std::string Name(const cluster::TopicPartition& partition) {
  int64_t number = 0;
  std::memcpy(&number, partition.topic.data(), sizeof(number));
  return number < 1'000 ? absl::StrCat(partition.partition) : absl::StrCat(number, "/", partition.partition);
}

}  // namespace naru::sim
