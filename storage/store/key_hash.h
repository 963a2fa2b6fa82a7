// A key's hash, 128 bits wide, by which compaction tells keys apart: SipHash-2-4-128 under a secret that is
// chosen for each pass, so that nobody can make two keys that pass for one. Pure, thread-safe.
#pragma once

#include <cstdint>
#include <string_view>

namespace naru {

struct KeyHash {
  uint64_t low = 0;
  uint64_t high = 0;
  friend bool operator==(const KeyHash&, const KeyHash&) = default;
};

struct HashSecret {
  uint64_t low = 0;
  uint64_t high = 0;
};

KeyHash HashKey(const HashSecret& secret, std::string_view key);

}  // namespace naru
