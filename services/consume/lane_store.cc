#include "services/consume/lane_store.h"

#include <chrono>
#include <optional>
#include <utility>

namespace naru::services {
namespace {

// After which a log that nobody led is tried again.
constexpr std::chrono::milliseconds kLater(50);

}  // namespace

LaneStore::LaneStore(ConsumeContext& context, Strand& strand, Answers& answers)
    : context_(context), strand_(strand), answers_(answers) {
  context_.senders.fetch_add(1, std::memory_order_relaxed);
}

LaneStore::~LaneStore() {
  context_.subscriptions.Give(aside_bytes_);
  context_.senders.fetch_sub(1, std::memory_order_relaxed);
}

bool LaneStore::SetAside(int64_t bytes) {
  if (!context_.subscriptions.TryTake(bytes)) return false;
  aside_bytes_ += bytes;
  return true;
}

void LaneStore::Close() {
  closed_ = true;
  if (memory_wait_ != 0) context_.memory->gate().CancelWait(memory_wait_);
  for (const auto& [lane, watch] : watches_) context_.store.CancelWatch(watch);
  watches_.clear();
  for (const auto& [lane, timer] : timers_) context_.executor.Cancel(timer);
  timers_.clear();
}

int64_t LaneStore::MessageBytesMax() {
  // Any of the streams that are open may turn out not to read.
  return context_.memory->MessageBytesMax(context_.senders.load(std::memory_order_relaxed));
}

void LaneStore::FindEdge(Lane lane, LogId log, bool end) {
  context_.store.AskInfo(log, [this, keep = Keep(), lane, end](absl::StatusOr<LogInfo> info) {
    strand_.Post([this, keep, lane, end, info = std::move(info)] {
      if (closed_) return;
      if (!info.ok()) return answers_.OnFound(lane, info.status());
      answers_.OnFound(lane, std::optional(TimedOffset{end ? info->readable_end : info->log_start}));
    });
  });
}

void LaneStore::FindByTime(Lane lane, LogId log, int64_t timestamp_ms) {
  context_.store.FindByTime(log, timestamp_ms, [this, keep = Keep(), lane](auto found) {
    strand_.Post([this, keep, lane, found = std::move(found)] {
      if (!closed_) answers_.OnFound(lane, found);
    });
  });
}

void LaneStore::Read(Lane lane, const ReadRequest& request, int64_t memory_bytes, MemoryGate::Line line) {
  MemoryGate::Hold hold;
  const auto granted = [this, keep = Keep(), lane, request](MemoryGate::Hold bytes) {
    strand_.Post([this, keep, lane, request, bytes = std::move(bytes)]() mutable {
      memory_wait_ = 0;
      ReadWith(lane, request, std::move(bytes));
    });
  };
  context_.memory->gate().TakeOrWait(memory_bytes, hold, memory_wait_, granted, line);
  if (memory_wait_ == 0) ReadWith(lane, request, std::move(hold));
}

void LaneStore::ReadWith(Lane lane, const ReadRequest& request, MemoryGate::Hold hold) {
  if (closed_) return;
  context_.store.Read(request, [this, keep = Keep(), lane,
                                hold = std::move(hold)](absl::StatusOr<ReadResult> result) mutable {
    strand_.Post([this, keep, lane, hold = std::move(hold), result = std::move(result)]() mutable {
      if (!closed_) answers_.OnRead(lane, std::move(result), std::move(hold));
    });
  });
}

void LaneStore::Watch(Lane lane, LogId log, Offset offset) {
  watches_[lane] = context_.store.Watch(log, offset, [this, keep = Keep(), lane] {
    strand_.Post([this, keep, lane] {
      watches_.erase(lane);
      if (!closed_) answers_.OnReadable(lane);
    });
  });
}

void LaneStore::WatchLater(Lane lane) {
  timers_[lane] = context_.executor.RunAfter(kLater, [this, keep = Keep(), lane] {
    strand_.Post([this, keep, lane] {
      if (timers_.erase(lane) > 0 && !closed_) answers_.OnReadable(lane);
    });
  });
}

void LaneStore::Unwatch(Lane lane) {
  if (const auto timer = timers_.find(lane); timer != timers_.end()) {
    context_.executor.Cancel(timer->second);
    timers_.erase(timer);
  }
  const auto it = watches_.find(lane);
  if (it == watches_.end()) return;
  context_.store.CancelWatch(it->second);
  watches_.erase(it);
}

}  // namespace naru::services
