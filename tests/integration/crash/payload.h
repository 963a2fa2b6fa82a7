// Records that carry a unique value and can be told from any other bytes.
#pragma once

#include <random>
#include <span>
#include <vector>

#include "naru/v1/types.pb.h"
#include "tests/integration/crash/history.h"

namespace naru::crash {

// A record for `value`: a key, a header, and 20 to 1,000 bytes that follow from it.
naru::v1::Record MakeRecord(Value value);
// The value, or 0 when the record is not exactly what MakeRecord made (offset and timestamp apart).
Value ValueOf(const naru::v1::Record& record);

// A batch of these values, in order, compressed now and then.
naru::v1::RecordBatch MakeBatch(std::span<const Value> values, std::mt19937_64& random);

// Hands out a producer's values: from producer * 2^32 + 1 on.
class ValueSource {
 public:
  explicit ValueSource(int producer) : next_((static_cast<Value>(producer) << 32) + 1) {}
  std::vector<Value> Take(size_t count) {
    std::vector<Value> values(count);
    for (Value& value : values) value = next_++;
    return values;
  }

 private:
  Value next_;
};

}  // namespace naru::crash
