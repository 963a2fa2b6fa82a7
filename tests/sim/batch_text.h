// What simulated clients write: a batch is the list of its values, after the stamp of its producer if it has
// one, and readable in a trace: "7", "7,8,9", "p3e0s12:7,8". Where compaction has taken a value away stands
// "-1": "-1,8,-1".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/cord.h"
#include "storage/batch/producer_stamp.h"

namespace naru::sim {

inline constexpr int64_t kGone = -1;

// Of the records of compacted partitions: a newer value takes the place of an older one with the same key.
inline int64_t KeyOf(int64_t value) { return value % 16; }

struct BatchText {
  std::vector<int64_t> values;
  std::optional<ProducerStamp> producer;

  std::string ToText() const;
  // Nothing: nobody has written this.
  static std::optional<BatchText> Parse(std::string_view text);
};

// Of a stored batch, which is one that was written.
BatchText Parsed(const absl::Cord& bytes);
std::vector<int64_t> ValuesOf(const absl::Cord& bytes);

// The values from `first` on.
BatchText MakeBatch(int64_t first, int64_t count, const std::optional<ProducerStamp>& producer = {});

}  // namespace naru::sim
