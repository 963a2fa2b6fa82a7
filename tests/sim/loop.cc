#include "tests/sim/loop.h"

#include <cstdio>

namespace naru::sim {

void Loop::Note(std::string_view what) {
  const auto mix = [this](unsigned char byte) { trace_ = (trace_ ^ byte) * 1'099'511'628'211U; };
  for (int shift = 0; shift < 64; shift += 8) mix(static_cast<unsigned char>(now_us_ >> shift));
  for (const char c : what) mix(static_cast<unsigned char>(c));
  if (verbose_) {
    std::printf("%9.3f  %.*s\n", static_cast<double>(now_us_) / 1e6, static_cast<int>(what.size()),
                what.data());
  }
}

}  // namespace naru::sim
