#include "storage/store/key_map.h"

#include <algorithm>

namespace naru {
namespace {

// Of the slots that are taken when the map is full: beyond it, looking for one takes long.
constexpr int64_t kTakenShare = 3;
constexpr int64_t kTakenOf = 4;

}  // namespace

KeyMap::KeyMap(int64_t memory_bytes, int64_t keys_wanted, const HashSecret& secret) : secret_(secret) {
  const int64_t most = std::max<int64_t>(memory_bytes / static_cast<int64_t>(sizeof(Slot)), 2);
  const int64_t wanted = keys_wanted < most ? keys_wanted * kTakenOf / kTakenShare + 2 : most;
  slots_.resize(static_cast<size_t>(std::min(wanted, most)));
  capacity_ = std::max<int64_t>(static_cast<int64_t>(slots_.size()) * kTakenShare / kTakenOf, 1);
}

size_t KeyMap::SlotOf(const KeyHash& hash) const {
  size_t at = hash.low % slots_.size();
  while (slots_[at].offset != kFree && slots_[at].hash != hash) {
    if (++at == slots_.size()) at = 0;
  }
  return at;
}

bool KeyMap::Put(std::string_view key, Offset offset) {
  const KeyHash hash = HashKey(secret_, key);
  Slot& slot = slots_[SlotOf(hash)];
  if (slot.offset == kFree) {
    if (size_ == capacity_) return false;
    ++size_;
    slot.hash = hash;
  }
  slot.offset = offset;
  return true;
}

std::optional<Offset> KeyMap::Find(std::string_view key) const {
  const Slot& slot = slots_[SlotOf(HashKey(secret_, key))];
  if (slot.offset == kFree) return std::nullopt;
  return slot.offset;
}

}  // namespace naru
