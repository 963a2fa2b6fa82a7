#include "storage/store/key_hash.h"

#include <bit>
#include <cstring>

namespace naru {
namespace {

constexpr int kRoundsPerWord = 2;
constexpr int kRoundsAtEnd = 4;

struct State {
  uint64_t v0, v1, v2, v3;

  void Rounds(int count) {
    for (int i = 0; i < count; ++i) {
      v0 += v1;
      v2 += v3;
      v1 = std::rotl(v1, 13) ^ v0;
      v3 = std::rotl(v3, 16) ^ v2;
      v0 = std::rotl(v0, 32);
      v2 += v1;
      v0 += v3;
      v1 = std::rotl(v1, 17) ^ v2;
      v3 = std::rotl(v3, 21) ^ v0;
      v2 = std::rotl(v2, 32);
    }
  }
  void Take(uint64_t word) {
    v3 ^= word;
    Rounds(kRoundsPerWord);
    v0 ^= word;
  }
  uint64_t Digest() const { return v0 ^ v1 ^ v2 ^ v3; }
};

}  // namespace

KeyHash HashKey(const HashSecret& secret, std::string_view key) {
  State state{secret.low ^ 0x736f6d6570736575, secret.high ^ 0x646f72616e646f6d ^ 0xee,
              secret.low ^ 0x6c7967656e657261, secret.high ^ 0x7465646279746573};
  const uint64_t length = key.size();
  uint64_t word;
  for (; key.size() >= sizeof word; key.remove_prefix(sizeof word)) {
    std::memcpy(&word, key.data(), sizeof word);
    state.Take(word);
  }
  word = length << 56;
  for (size_t i = 0; i < key.size(); ++i) word |= uint64_t{static_cast<uint8_t>(key[i])} << (8 * i);
  state.Take(word);
  KeyHash hash;
  state.v2 ^= 0xee;
  state.Rounds(kRoundsAtEnd);
  hash.low = state.Digest();
  state.v1 ^= 0xdd;
  state.Rounds(kRoundsAtEnd);
  hash.high = state.Digest();
  return hash;
}

}  // namespace naru
