// CRC-32C (Castagnoli), the checksum of every entry, batch and header. Hardware where there is any (ISA-L).
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/strings/cord.h"

namespace naru {

// The CRC of `crc`'s bytes followed by `data`; start with crc = 0.
uint32_t ExtendCrc32c(uint32_t crc, std::string_view data);
inline uint32_t Crc32c(std::string_view data) { return ExtendCrc32c(0, data); }
uint32_t Crc32c(const absl::Cord& data);

}  // namespace naru
