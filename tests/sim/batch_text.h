// What simulated clients write: a batch is the list of its values, after the stamp of its producer if it has
// one, and readable in a trace: "7", "7,8,9", "p3e0s12:7,8".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/batch/producer_stamp.h"

namespace naru::sim {

struct BatchText {
  std::vector<int64_t> values;
  std::optional<ProducerStamp> producer;

  std::string ToText() const;
  // Nothing: nobody has written this.
  static std::optional<BatchText> Parse(std::string_view text);
};

// The values from `first` on.
BatchText MakeBatch(int64_t first, int64_t count, const std::optional<ProducerStamp>& producer = {});

}  // namespace naru::sim
