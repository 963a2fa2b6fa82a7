#include "clients/cpp/batch_stamps.h"

#include <algorithm>

#include "storage/base/check.h"

namespace naru::client {

ProducerStamp BatchStamps::Take(int64_t records) {
  NARU_CHECK(!unsettled());
  const ProducerStamp stamp = next_;
  next_.base_sequence += records;
  return stamp;
}

void BatchStamps::GiveUp(const ProducerStamp& stamp, Loss loss) {
  // What comes behind one of an earlier epoch has begun anew already.
  if (stamp.epoch != next_.epoch) return;
  lost_sequence_ = std::min(lost_sequence_.value_or(INT64_MAX), stamp.base_sequence);
  lost_unknown_ |= loss == Loss::kUnknown;
  out_of_order_ |= loss == Loss::kOutOfOrder;
  fenced_ |= loss == Loss::kFenced;
}

bool BatchStamps::NeedsNewStamp(const Waiting& batch) const {
  if (!batch.stamp || !lost_sequence_) return false;
  if (batch.stamp->epoch != next_.epoch || batch.stamp->base_sequence < *lost_sequence_) return false;
  return !(lost_unknown_ && batch.maybe_appended);
}

void BatchStamps::Settle(bool unknown_behind) {
  NARU_CHECK(unsettled());
  // A fenced producer has nothing to begin anew: a greater epoch would fence the other in turn.
  if (!fenced_ && (lost_unknown_ || out_of_order_ || unknown_behind)) {
    ++next_.epoch;
    next_.base_sequence = 0;
  } else {
    next_.base_sequence = *lost_sequence_;
  }
  lost_sequence_.reset();
  lost_unknown_ = out_of_order_ = false;
}

}  // namespace naru::client
