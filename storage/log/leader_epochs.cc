#include "storage/log/leader_epochs.h"

#include <algorithm>

#include "storage/base/check.h"

namespace naru {

void LeaderEpochs::Append(LeaderEpoch epoch, Offset offset) {
  NARU_CHECK(epoch >= of_last_batch());
  current_ = std::max(current_, epoch);
  if (epoch == of_last_batch()) return;  // also -1: batches from before the first epoch leave no trace
  // An epoch whose batches all went by a moved start stands at the same offset as its successor: it is over.
  while (!starts_.empty() && starts_.back().offset >= offset) starts_.pop_back();
  starts_.push_back({epoch, offset});
}

// Rule 4 of docs/replication.md: cut with the log, at its end too.
void LeaderEpochs::Truncate(Offset end) {
  while (!starts_.empty() && starts_.back().offset >= end) starts_.pop_back();
}

void LeaderEpochs::MoveStart(Offset start) {
  const auto first_above = std::find_if(starts_.begin(), starts_.end(),
                                        [start](const Start& entry) { return entry.offset > start; });
  if (first_above == starts_.begin()) return;
  const auto holds_start = first_above - 1;
  holds_start->offset = start;
  starts_.erase(starts_.begin(), holds_start);
}

EpochEnd LeaderEpochs::EndOffset(LeaderEpoch epoch, Offset log_start, Offset log_end) const {
  const auto above =
      std::upper_bound(starts_.begin(), starts_.end(), epoch,
                       [](LeaderEpoch asked, const Start& entry) { return asked < entry.epoch; });
  if (above == starts_.begin()) return {LeaderEpoch(-1), log_start};
  return {(above - 1)->epoch, above == starts_.end() ? log_end : above->offset};
}

void LeaderEpochs::Encode(std::string& to) const {
  AppendLittle<int32_t>(to, current_.value());
  AppendLittle<uint32_t>(to, static_cast<uint32_t>(starts_.size()));
  for (const Start& entry : starts_) {
    AppendLittle<int32_t>(to, entry.epoch.value());
    AppendLittle<int64_t>(to, entry.offset.value());
  }
}

bool LeaderEpochs::Decode(LittleReader& from) {
  current_ = LeaderEpoch(from.Take<int32_t>());
  const uint32_t count = from.Take<uint32_t>();
  constexpr size_t kEntryBytes = sizeof(int32_t) + sizeof(int64_t);
  if (!from.ok() || count > from.remaining() / kEntryBytes) return false;
  starts_.clear();
  starts_.reserve(count);
  for (uint32_t i = 0; i < count; ++i) {
    const LeaderEpoch epoch(from.Take<int32_t>());
    const Offset offset(from.Take<int64_t>());
    const bool rises =
        starts_.empty() ? epoch.value() >= 0 : epoch > starts_.back().epoch && offset > starts_.back().offset;
    if (!rises || epoch > current_) return false;
    starts_.push_back({epoch, offset});
  }
  return from.ok();
}

}  // namespace naru
