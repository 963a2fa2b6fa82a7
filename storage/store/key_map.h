// Where each key's newest record is, as far as a pass of compaction has looked: hashes to offsets in a table
// of fixed size. Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "storage/base/ids.h"
#include "storage/store/key_hash.h"

namespace naru {

class KeyMap {
 public:
  // A table for `keys_wanted` keys, in at most `memory_bytes`, which has room for one key at least.
  KeyMap(int64_t memory_bytes, int64_t keys_wanted, const HashSecret& secret);

  // Keys that fit.
  int64_t capacity() const { return capacity_; }
  int64_t size() const { return size_; }
  int64_t memory_bytes() const { return static_cast<int64_t>(slots_.size() * sizeof(Slot)); }

  // The key's newest record is at `offset`, which is above all that were put before. False: the key is new
  // and the map is full; nothing changed.
  bool Put(std::string_view key, Offset offset);
  // Nothing: the key was not put.
  std::optional<Offset> Find(std::string_view key) const;

 private:
  struct Slot {
    KeyHash hash;
    Offset offset = kFree;
  };
  static constexpr Offset kFree = Offset(-1);

  // The slot that has the key, or the free one where it would be.
  size_t SlotOf(const KeyHash& hash) const;

  const HashSecret secret_;
  std::vector<Slot> slots_;
  int64_t capacity_;
  int64_t size_ = 0;
};

}  // namespace naru
