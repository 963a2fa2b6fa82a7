#include "storage/base/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>

#include "storage/base/strings.h"

namespace naru {

uint32_t ExtendCrc32c(uint32_t crc, std::string_view data) {
  // ISA-L takes an int length and neither inverts the initial value nor the result.
  constexpr size_t kPieceBytesMax = size_t{1} << 30;
  uint32_t state = ~crc;
  while (!data.empty()) {
    const size_t n = std::min(data.size(), kPieceBytesMax);
    state = crc32_iscsi(reinterpret_cast<unsigned char*>(const_cast<char*>(data.data())), static_cast<int>(n),
                        state);
    data.remove_prefix(n);
  }
  return ~state;
}

uint32_t Crc32c(const absl::Cord& data) {
  uint32_t crc = 0;
  for (absl::string_view chunk : data.Chunks()) crc = ExtendCrc32c(crc, Std(chunk));
  return crc;
}

}  // namespace naru
