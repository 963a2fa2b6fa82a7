// All chance of a simulated run, from one seed. The same numbers on every platform.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>

namespace naru::sim {

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  // Both included.
  int64_t Between(int64_t least, int64_t most) {
    return least + static_cast<int64_t>(engine_() % static_cast<uint64_t>(most - least + 1));
  }
  bool Chance(double probability) {
    return static_cast<double>(engine_() >> 11) < probability * 9007199254740992.0;  // 2^53
  }
  size_t Index(size_t size) { return static_cast<size_t>(engine_() % size); }

 private:
  std::mt19937_64 engine_;
};

}  // namespace naru::sim
