// A partition of any topic, by the topic's id. Values.
#pragma once

#include <array>
#include <compare>
#include <cstdint>

namespace naru::cluster {

// 16 bytes; a topic that is deleted and made again has another one.
using TopicId = std::array<char, 16>;

struct TopicPartition {
  TopicId topic{};
  int32_t partition = 0;
  friend auto operator<=>(const TopicPartition&, const TopicPartition&) = default;
};

}  // namespace naru::cluster
