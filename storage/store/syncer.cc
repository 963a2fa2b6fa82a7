#include "storage/store/syncer.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace naru {
namespace {

// Groups under way before the appender waits: enough to keep it busy during a sync.
constexpr size_t kGroupsMax = 64;
// What nobody waits for is synced at the latest when it has grown to this.
constexpr int64_t kBackgroundBytesMax = int64_t{16} << 20;
// What the appender synced goes into the index when it is so many groups, or the oldest is this old: the
// thread is woken less often, and not while the appender is about to sync again.
constexpr size_t kSettledMax = 64;
constexpr absl::Duration kSettledAge = absl::Milliseconds(5);
// So much of the page cache is dropped at a time: a whole segment takes tens of milliseconds.
constexpr int64_t kDropBytes = int64_t{1} << 20;

}  // namespace

Syncer::Syncer(Parts parts, Sequence durable) : parts_(std::move(parts)), durable_sequence_(durable.value()) {
  thread_ = std::thread([this] { Run(); });
}

Syncer::~Syncer() { Stop(); }

void Syncer::Submit(std::unique_ptr<Group> group) {
  absl::MutexLock lock(&mutex_);
  while (queue_.size() >= kGroupsMax) moved_.Wait(&mutex_);
  ++submitted_;
  queued_bytes_ += group->bytes;
  if (group->urgent) ++queued_urgent_;
  if (!group->lazy && !queued_eager_) {
    queued_eager_ = true;
    deadline_ = absl::Now() + parts_.background_interval;
  }
  queue_.push_back(std::move(group));
  wake_.Signal();
}

bool Syncer::TrySync(std::unique_ptr<Group>& group) {
  if (!group->urgent || group->bytes > parts_.inline_bytes_max || parts_.fatal.raised()) return false;
  {
    absl::MutexLock lock(&mutex_);
    if (settling_ || !queue_.empty() || settled_.size() >= kSettledMax) return false;
    settling_ = true;
    ++submitted_;
  }
  Groups groups;
  groups.push_back(std::move(group));
  const bool settled = Settle(groups);
  absl::MutexLock lock(&mutex_);
  settling_ = false;
  if (!settled) {
    ++finished_;
    moved_.SignalAll();
    return true;
  }
  if (settled_.empty()) commit_deadline_ = absl::Now() + kSettledAge;
  settled_.push_back(std::move(groups.front()));
  if (settled_.size() == 1 || MustCommit()) wake_.Signal();
  return true;
}

void Syncer::Drain() {
  absl::MutexLock lock(&mutex_);
  const uint64_t target = submitted_;
  if (finished_ >= target) return;
  ++drains_;
  wake_.Signal();
  while (finished_ < target) moved_.Wait(&mutex_);
  --drains_;
}

void Syncer::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    wake_.Signal();
  }
  if (thread_.joinable()) thread_.join();
}

bool Syncer::MustSync() const {
  if (queue_.empty() || settling_) return false;
  return queued_urgent_ > 0 || drains_ > 0 || stopping_ || queue_.size() >= kGroupsMax / 2 ||
         queued_bytes_ >= kBackgroundBytesMax || (queued_eager_ && absl::Now() >= deadline_);
}

bool Syncer::MustCommit() const {
  if (settled_.empty()) return false;
  return settled_.size() >= kSettledMax / 2 || drains_ > 0 || stopping_ || absl::Now() >= commit_deadline_;
}

bool Syncer::AwaitWork() {
  while (!MustSync() && !MustCommit()) {
    if (stopping_ && queue_.empty() && settled_.empty()) return false;
    absl::Time deadline = queued_eager_ && !settling_ ? deadline_ : absl::InfiniteFuture();
    if (!settled_.empty()) deadline = std::min(deadline, commit_deadline_);
    wake_.WaitWithDeadline(&mutex_, deadline);
  }
  return true;
}

Syncer::Groups Syncer::TakeQueue() {
  Groups groups(std::make_move_iterator(queue_.begin()), std::make_move_iterator(queue_.end()));
  queue_.clear();
  queued_bytes_ = 0;
  queued_urgent_ = 0;
  queued_eager_ = false;
  moved_.SignalAll();
  return groups;
}

void Syncer::Run() {
  for (;;) {
    Groups groups;
    Groups queued;
    {
      absl::MutexLock lock(&mutex_);
      if (!AwaitWork()) return;
      groups = std::exchange(settled_, {});
      if (MustSync()) {
        settling_ = true;
        queued = TakeQueue();
      }
    }
    const size_t count = groups.size() + queued.size();
    if (!queued.empty()) {
      const bool settled = Settle(queued);
      absl::MutexLock lock(&mutex_);
      settling_ = false;
      if (settled) std::move(queued.begin(), queued.end(), std::back_inserter(groups));
    }
    if (Commit(groups)) {
      DropBehind(groups);
      if (parts_.on_commit) parts_.on_commit();
    }
    absl::MutexLock lock(&mutex_);
    finished_ += count;
    moved_.SignalAll();
  }
}

bool Syncer::Settle(Groups& groups) {
  if (parts_.fatal.raised() || !Sync(groups)) {
    Fail(groups);
    return false;
  }
  Publish(groups);
  return true;
}

bool Syncer::Sync(const Groups& groups) {
  std::vector<std::shared_ptr<Segment>> segments;
  for (const auto& group : groups) {
    for (const auto& segment : group->written) {
      if (std::find(segments.begin(), segments.end(), segment) == segments.end()) segments.push_back(segment);
    }
  }
  for (const auto& segment : segments) {
    const int64_t begin = parts_.clock.MonotonicNs();
    if (const absl::Status synced = segment->file().SyncData(); !synced.ok()) {
      parts_.fatal.Raise(synced.ToString());
      return false;
    }
    Count(parts_.counters.syncs);
    Count(parts_.counters.sync_ns, parts_.clock.MonotonicNs() - begin);
  }
  for (const auto& group : groups) {
    if (group->last_sequence.value() > 0) {
      durable_sequence_.store(group->last_sequence.value(), std::memory_order_release);
    }
  }
  return true;
}

void Syncer::DropBehind(const Groups& groups) {
  for (const auto& group : groups) {
    for (const auto& segment : group->written) {
      if (behind_.empty() || behind_.back().segment.lock() != segment) behind_.push_back({segment});
    }
    if (group->written.empty()) continue;
    behind_.back().written += group->bytes;
    kept_bytes_ += group->bytes;
  }
  while (kept_bytes_ > parts_.kept_page_cache_bytes) {
    Behind& oldest = behind_.front();
    const bool last = behind_.size() > 1 && oldest.written <= kDropBytes;
    // Beside what was counted a segment has its header, and an end that was too small for what came next.
    if (const auto segment = oldest.segment.lock()) {
      segment->file().DropCache(oldest.dropped, last ? segment->size_bytes() - oldest.dropped : kDropBytes);
    }
    const int64_t dropped = std::min(oldest.written, kDropBytes);
    kept_bytes_ -= dropped;
    oldest.written -= dropped;
    oldest.dropped += kDropBytes;
    if (last) behind_.pop_front();
  }
}

void Syncer::Publish(Groups& groups) {
  Watches::Due due;
  for (const auto& group : groups) {
    for (const Group::LogEnd& end : group->ends) {
      absl::MutexLock lock(&end.log->mutex);
      end.log->durable_end = std::max(end.log->durable_end, end.end);
      end.log->readable_end = std::max(end.log->readable_end, end.log->durable_end);
      Watches::TakeDue(*end.log, due);
    }
    for (const auto& log : group->touched) {
      absl::MutexLock lock(&log->mutex);
      Watches::TakeDue(*log, due);
    }
    parts_.queue.Give(group->queue_bytes);
  }
  for (const auto& group : groups) {
    for (Group::Ack& ack : group->acks) ack.done(ack.appended);
    for (Group::Finished& finished : group->finished) finished.done(finished.status);
  }
  parts_.watches.Fire(due);
}

bool Syncer::Commit(Groups& groups) {
  if (parts_.fatal.raised()) return false;
  for (auto& group : groups) {
    if (!group->update.empty()) {
      if (const absl::Status committed = parts_.index.Commit(std::move(group->update)); !committed.ok()) {
        parts_.fatal.Raise(committed.ToString());
        return false;
      }
    }
    // Now the index has them; the tail need not any more.
    for (const Group::LogEnd& end : group->ends) {
      absl::MutexLock lock(&end.log->mutex);
      auto& runs = end.log->tail_runs;
      runs.erase(runs.begin(), runs.begin() + static_cast<std::ptrdiff_t>(std::min(end.runs, runs.size())));
      if (runs.empty()) runs.shrink_to_fit();
    }
    Count(parts_.counters.applied_bytes, group->bytes);
  }
  return true;
}

void Syncer::Fail(Groups& groups) {
  for (const auto& group : groups) {
    parts_.queue.Give(group->queue_bytes);
    for (Group::Ack& ack : group->acks) ack.done(Fatal::Error());
    for (Group::Finished& finished : group->finished) finished.done(Fatal::Error());
  }
}

}  // namespace naru
