#include "storage/log/compaction_state.h"

#include <algorithm>

#include "storage/base/coding.h"
#include "storage/base/status.h"

namespace naru {
namespace {

constexpr uint8_t kCompactionStateVersion = 1;
constexpr int64_t kStepsPerRetention = 8;

}  // namespace

Offset CompactionState::TombstonesDueBelow(int64_t now_ms, int64_t delete_retention_ms) const {
  Offset due(0);
  for (const Horizon& horizon : horizons) {
    if (horizon.at_ms <= now_ms - delete_retention_ms) due = horizon.below;
  }
  return due;
}

void CompactionState::EndPass(Offset to, int64_t bytes, int64_t tombstones_left, int64_t now_ms,
                              int64_t delete_retention_ms, Offset due_below) {
  const bool advanced = to > clean_to;
  clean_to = to;
  clean_bytes = bytes;
  last_pass_ms = now_ms;
  tombstones = tombstones_left;
  std::erase_if(horizons, [&](const Horizon& horizon) { return horizon.below <= due_below; });
  if (!advanced) return;
  const int64_t step_ms = std::max<int64_t>(delete_retention_ms / kStepsPerRetention, 1);
  int64_t at_ms = (now_ms + step_ms - 1) / step_ms * step_ms;
  if (!horizons.empty()) at_ms = std::max(at_ms, horizons.back().at_ms);
  if (horizons.empty() || horizons.back().at_ms < at_ms) {
    horizons.push_back({to, at_ms});
  } else {
    horizons.back().below = to;
  }
  // Only where the retention time was shortened: what the last but one covered waits for the last.
  if (horizons.size() > kHorizonsMax) horizons.erase(horizons.end() - 2);
}

void CompactionState::Truncate(Offset end, int64_t bytes_end) {
  clean_to = std::min(clean_to, end);
  clean_bytes = std::min(clean_bytes, bytes_end);
  Offset covered(0);
  std::erase_if(horizons, [&](Horizon& horizon) {
    const bool adds = std::min(horizon.below, end) > covered;
    covered = horizon.below = std::min(horizon.below, end);
    return !adds;
  });
}

std::string CompactionState::Encode() const {
  std::string to;
  AppendLittle<uint8_t>(to, kCompactionStateVersion);
  AppendLittle<int64_t>(to, clean_to.value());
  AppendLittle<int64_t>(to, clean_bytes);
  AppendLittle<int64_t>(to, last_pass_ms);
  AppendLittle<int64_t>(to, tombstones);
  AppendLittle<uint8_t>(to, static_cast<uint8_t>(horizons.size()));
  for (const Horizon& horizon : horizons) {
    AppendLittle<int64_t>(to, horizon.below.value());
    AppendLittle<int64_t>(to, horizon.at_ms);
  }
  return to;
}

absl::StatusOr<CompactionState> CompactionState::Decode(std::string_view bytes) {
  LittleReader from(bytes);
  CompactionState state;
  const auto version = from.Take<uint8_t>();
  state.clean_to = Offset(from.Take<int64_t>());
  state.clean_bytes = from.Take<int64_t>();
  state.last_pass_ms = from.Take<int64_t>();
  state.tombstones = from.Take<int64_t>();
  const size_t count = from.Take<uint8_t>();
  for (size_t i = 0; i < count && from.ok(); ++i) {
    Horizon horizon;
    horizon.below = Offset(from.Take<int64_t>());
    horizon.at_ms = from.Take<int64_t>();
    state.horizons.push_back(horizon);
  }
  if (!from.done() || version != kCompactionStateVersion || count > kHorizonsMax) {
    return MakeError(Reason::kCorruptData, "the bytes are not those of a log's state of compaction");
  }
  return state;
}

}  // namespace naru
