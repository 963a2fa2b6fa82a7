#include "cluster/broker/handed_log.h"

#include <algorithm>

namespace naru::cluster {

HandedLog::HandedLog(const LogStore& store, LogId log)
    : store_(store), log_(log), durable_start_(Info().log_start) {}

// A log that was deleted is empty.
LogInfo HandedLog::Info() const { return store_.Info(log_).value_or(LogInfo{}); }

void HandedLog::Forget(Offset end) const {
  while (!handed_.empty() && handed_.front().end <= end) handed_.pop_front();
}

LogPositions HandedLog::Positions() const {
  const LogInfo info = Info();
  Forget(info.end);
  // Readable is what the store vouches for: on stable storage, or written where the topic is content with it.
  return {.start = info.log_start,
          .end = handed_.empty() ? info.end : std::max(info.end, handed_.back().end),
          .durable_end = info.readable_end,
          .durable_start = std::min(durable_start_, info.log_start)};
}

std::vector<ProducerState> HandedLog::Producers() const {
  return store_.Producers(log_).value_or(std::vector<ProducerState>{});
}

EpochEnd HandedLog::EndOffsetForEpoch(LeaderEpoch epoch) const {
  const Offset end = Info().end;
  Forget(end);
  const EpochEnd stored =
      store_.EndOffsetForEpoch(log_, epoch).value_or(EpochEnd{LeaderEpoch(-1), Offset(0)});
  if (stored.end < end) return stored;  // a later epoch follows it in the store already
  EpochEnd found = stored;
  bool ends = false;
  for (const Stretch& stretch : handed_) {
    if (stretch.epoch > epoch) {
      // What the store has of the epoch may end before its last batches take effect.
      if (!ends) found.end = std::max(found.end, stretch.begin);
      return found;
    }
    found = {stretch.epoch, stretch.end};
    ends = true;
  }
  return found;
}

void HandedLog::Hand(const std::vector<StoredBatchView>& batches) {
  for (const StoredBatchView& batch : batches) {
    if (!handed_.empty() && handed_.back().epoch == batch.leader_epoch) {
      handed_.back().end = batch.next_offset;
    } else {
      handed_.push_back({batch.base_offset, batch.next_offset, batch.leader_epoch});
    }
  }
}

void HandedLog::StartIsDurable(Offset start) { durable_start_ = std::max(durable_start_, start); }

}  // namespace naru::cluster
