#include "tools/micro/sample_batches.h"

#include <algorithm>
#include <string_view>

#include "storage/batch/wire.h"

namespace naru::micro {

Sample MakeSample(const Shape& shape) {
  Sample sample;
  uint32_t random = 1;
  std::string value(shape.value_bytes, '\0');
  while (sample.bytes.size() < shape.batch_bytes) {
    for (char& c : value) {
      random = random * 1664525 + 1013904223;
      c = static_cast<char>(random >> 24);
    }
    std::string record;
    if (shape.keyed) wire::AppendBytesField(record, 1, std::string_view(value).substr(0, kKeyBytes));
    wire::AppendBytesField(record, 2, value);
    if (shape.timestamps) wire::AppendVarintField(record, 4, kAppendTimeMs + sample.records);
    wire::AppendBytesField(sample.bytes, 15, record);
    ++sample.records;
  }
  return sample;
}

absl::Cord InChunks(const std::string& bytes, size_t chunk_bytes) {
  absl::Cord cord;
  for (size_t at = 0; at < bytes.size(); at += chunk_bytes) {
    const size_t n = std::min(chunk_bytes, bytes.size() - at);
    cord.Append(absl::MakeCordFromExternal(absl::string_view(bytes.data() + at, n), [] {}));
  }
  return cord;
}

}  // namespace naru::micro
