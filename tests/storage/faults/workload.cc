#include "tests/storage/faults/workload.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace naru::testing {
namespace {

constexpr size_t kLogsMax = 6;
constexpr int64_t kProducers = 3;

}  // namespace

void Workload::Run(int steps) {
  for (int i = 0; i < steps && !rig_.dead(); ++i) Step();
  rig_.Wait();
}

Survival Workload::PickSurvival() {
  return {static_cast<Survival::Mode>(Pick(4)), static_cast<uint32_t>(random_())};
}

IndexFate Workload::PickFate() { return static_cast<IndexFate>(Pick(3)); }

void Workload::MakeLog() {
  LogSettings settings;
  if (Pick(3) == 0) settings.durability = Durability::kBackground;
  rig_.Create(rig_.UnusedLog(), settings);
}

void Workload::Append(LogId log, bool stamped) {
  const uint32_t count = 1 + Pick(3);
  const uint32_t kind = Pick(10);
  const uint32_t size = kind < 7 ? Pick(400) : kind < 9 ? Pick(20'000) : 50'000 + Pick(250'000);
  std::vector<TestRecord> records;
  for (uint32_t i = 0; i < count; ++i) {
    std::string value = absl::StrCat("value ", next_value_++, " ");
    value.append(size / count, static_cast<char>('a' + next_value_ % 26));
    records.emplace_back(std::move(value), Pick(4) == 0 ? 1 + Pick(1'000'000) : 0);
  }
  std::optional<ProducerStamp> stamp;
  if (stamped) {
    const int64_t id = Pick(kProducers);
    const ProducerTable::Entry* known = rig_.Model(log).expected().state().producers().Find(id);
    stamp = ProducerStamp{id, 0, 0};
    if (known != nullptr) {
      const bool new_epoch = Pick(6) == 0;
      stamp = ProducerStamp{id, known->state.epoch + new_epoch, new_epoch ? 0 : known->state.next_sequence};
    }
  }
  rig_.Append(log, MakeBatch(records), stamp);
}

void Workload::MoveStart(LogId log) {
  rig_.Wait();  // only what is readable may be given up
  if (rig_.dead()) return;
  const LogState& state = rig_.Model(log).expected().state();
  const int64_t span = state.end() - state.start();
  if (span > 0) rig_.MoveStart(log, state.start() + 1 + Pick(static_cast<uint32_t>(span)));
}

void Workload::Step() {
  const std::vector<LogId> live = rig_.Live();
  const uint32_t kind = Pick(100);
  if (live.empty() || (kind < 5 && live.size() < kLogsMax)) return MakeLog();
  const LogId log = live[Pick(static_cast<uint32_t>(live.size()))];
  const LogState& state = rig_.Model(log).expected().state();
  if (kind < 7) {
    rig_.Delete(log);
  } else if (kind < 12) {
    // Now and then below the start.
    const int64_t span = state.end() - state.start() + (Pick(5) == 0 ? 3 : 0);
    const int64_t back = Pick(static_cast<uint32_t>(span) + 1);
    rig_.Truncate(log, Offset(std::max<int64_t>(0, state.end().value() - back)));
  } else if (kind < 19) {
    MoveStart(log);
  } else if (kind < 24) {
    rig_.BeginEpoch(log, LeaderEpoch(state.epochs().current().value() + 1));
  } else if (kind < 27) {
    (void)rig_.store().Checkpoint();  // fails when the power went
  } else if (kind < 31) {
    (void)rig_.store().RunMaintenance();
  } else if (kind < 37) {
    rig_.Wait();
  } else {
    Append(log, kind < 55);
  }
}

}  // namespace naru::testing
