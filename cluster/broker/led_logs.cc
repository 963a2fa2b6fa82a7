#include "cluster/broker/led_logs.h"

#include <algorithm>
#include <utility>

#include "storage/base/status.h"
#include "storage/base/strings.h"
#include "storage/log/log_state.h"

namespace naru::cluster {
namespace {

absl::Status NotLed() { return NoLeader("this broker does not lead the partition"); }

bool IsDamage(const absl::Status& status) { return ReasonOf(status) == Reason::kCorruptData; }

void Fail(const std::shared_ptr<AppendFence>& fence, int64_t order) {
  if (fence != nullptr) fence->Fail(order);
}

}  // namespace

absl::Status NoLeader(std::string_view why) {
  return MakeError(Reason::kNoLeader, absl::StrCat(std::string(why), "; nothing was done; try again"));
}

void LedLogs::Append(AppendRequest request, LogStore::AppendDone done) {
  const auto front = fronts_.Find(request.log);
  if (!front) {
    Fail(request.fence, request.fence_order);
    return done(NotLed());
  }
  if (request.on_all_in_sync && !front->may_commit) {
    Fail(request.fence, request.fence_order);
    return done(MakeError(Reason::kNotEnoughReplicas,
                          "not appended: fewer replicas of the partition are in sync than "
                          "min_in_sync_replicas asks for; try again when the other brokers are back"));
  }
  const bool other_epoch = (request.leader_epoch && *request.leader_epoch != front->leader_epoch) ||
                           (request.here_in_epoch && *request.here_in_epoch != front->leader_epoch);
  if (other_epoch) {
    Fail(request.fence, request.fence_order);
    return done(NotLed());
  }
  request.leader_epoch = front->leader_epoch;
  const LogId log = request.log;
  const bool wait = request.on_all_in_sync;
  std::shared_ptr<AppendFence> fence = request.fence;
  const int64_t order = request.fence_order;
  store_.Append(
      std::move(request), [this, log, epoch = front->leader_epoch, wait, fence = std::move(fence), order,
                           done = std::move(done)](absl::StatusOr<Appended> appended) mutable {
        if (!appended.ok()) return Refuse(log, epoch, appended.status(), std::move(done));
        if (!wait) {
          host_.OnWritten(log);
          return done(std::move(appended));
        }
        host_.Commit(log, epoch, *appended,
                     [fence, order, done = std::move(done)](absl::StatusOr<Appended> committed) mutable {
                       if (!committed.ok()) Fail(fence, order);
                       done(std::move(committed));
                     });
      });
}

void LedLogs::Refuse(LogId log, LeaderEpoch epoch, const absl::Status& status, LogStore::AppendDone done) {
  const std::optional<Reason> reason = ReasonOf(status);
  if (reason == Reason::kStaleLeaderEpoch) return done(NotLed());
  const bool by_what_is_there = reason == Reason::kOutOfOrderSequence || reason == Reason::kProducerFenced ||
                                reason == Reason::kExpectedOffsetMismatch;
  if (!by_what_is_there) return done(status);
  // Another broker may lead by now, and know of more than this one.
  host_.Confirm(log, epoch, [status, done = std::move(done)](bool leads) mutable {
    if (leads) return done(status);
    done(NoLeader("this broker may have been deposed as the partition's leader"));
  });
}

template <typename Done>
void LedLogs::HandOver(LogId log, const absl::Status& damage, Done done) {
  host_.Damaged(log, damage, [damage, done = std::move(done)](bool handed_over) mutable {
    if (!handed_over) return done(damage);
    done(NoLeader("this broker's copy of the partition is damaged, and another one takes over"));
  });
}

void LedLogs::Read(ReadRequest request, LogStore::ReadDone done) {
  const auto front = fronts_.Find(request.log);
  if (!front) return done(NotLed());
  // Rule 16: what is below is served, though the end may not be known yet.
  const Offset end = front->high_watermark;
  if (request.from > end) {
    const auto info = store_.Info(request.log);
    if (!info.ok()) return done(info.status());
    if (front->knows_end && front->alone) {
      return done(OffsetOutOfRange("offset", request.from, info->log_start, end));
    }
    if (front->knows_end) return ReadAbove(request.log, request.from, *front, std::move(done));
    // It was committed under the leader before, and will be here in a moment.
    return done(NoLeader("the partition's leader was just elected and is finding its end"));
  }
  request.end = std::min(request.end, end);
  request.include_undurable = false;
  store_.Read(request, [this, log = request.log, end, from = request.from,
                        done = std::move(done)](absl::StatusOr<ReadResult> result) mutable {
    if (IsDamage(result.status())) return HandOver(log, result.status(), std::move(done));
    if (result.ok()) {
      result->readable_end = end;
      result->next_offset = std::max(from, std::min(result->next_offset, end));
    }
    done(std::move(result));
  });
}

// Another broker may lead by now and have committed what is not here: whoever is told that there is no such
// offset may go back to the beginning.
void LedLogs::ReadAbove(LogId log, Offset from, const LogFront& front, LogStore::ReadDone done) {
  host_.Confirm(log, front.leader_epoch, [this, log, from, done = std::move(done)](bool leads) mutable {
    const auto now = fronts_.Find(log);
    const auto info = store_.Info(log);
    if (!leads || !now || !info.ok() || from <= now->high_watermark) {
      return done(NoLeader("this broker may have been deposed as the partition's leader"));
    }
    done(OffsetOutOfRange("offset", from, info->log_start, now->high_watermark));
  });
}

void LedLogs::FindByTime(LogId log, int64_t timestamp_ms, LogStore::TimeDone done) {
  const auto front = fronts_.Find(log);
  if (!front) return done(NotLed());
  store_.FindByTime(log, timestamp_ms,
                    [this, log, end = front->high_watermark,
                     done = std::move(done)](absl::StatusOr<std::optional<TimedOffset>> found) mutable {
                      if (IsDamage(found.status())) return HandOver(log, found.status(), std::move(done));
                      if (found.ok() && found->has_value() && (*found)->offset >= end) found->reset();
                      done(std::move(found));
                    });
}

absl::StatusOr<LogInfo> LedLogs::Info(LogId log) const {
  const auto front = fronts_.Find(log);
  if (!front) return NotLed();
  if (!front->knows_end) return NoLeader("the partition's leader was just elected and is finding its end");
  absl::StatusOr<LogInfo> info = store_.Info(log);
  if (info.ok()) {
    info->readable_end = front->high_watermark;
    info->leader_epoch = front->leader_epoch;
  }
  return info;
}

LogWatches::WatchId LedLogs::Watch(LogId log, Offset offset, absl::AnyInvocable<void()> fire) {
  return fronts_.Watch(log, offset, std::move(fire));
}

void LedLogs::MoveLogStart(LogId log, Offset start, LogStore::Done done) {
  if (!Leads(log)) return done(NotLed());
  host_.MoveStart(log, start, std::move(done));
}

}  // namespace naru::cluster
