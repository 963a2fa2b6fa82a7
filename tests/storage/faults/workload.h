// Random operations on a CrashRig, all from one seed: several logs of both durabilities, batches of all
// sizes, idempotent producers, truncations, moved starts, epochs, deletions, checkpoints and maintenance.
#pragma once

#include <cstdint>
#include <random>

#include "tests/storage/faults/crash_rig.h"

namespace naru::testing {

class Workload {
 public:
  Workload(CrashRig& rig, uint32_t seed) : rig_(rig), random_(seed) {}

  // Sends up to `steps` operations and waits for them; stops early when the store died.
  void Run(int steps);
  uint32_t Pick(uint32_t below) { return random_() % below; }
  // Any, drawn from the seed.
  Survival PickSurvival();
  IndexFate PickFate();

 private:
  void Step();
  void MakeLog();
  void Append(LogId log, bool stamped);
  void MoveStart(LogId log);

  CrashRig& rig_;
  std::mt19937 random_;
  int64_t next_value_ = 0;
};

}  // namespace naru::testing
