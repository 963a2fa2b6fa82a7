// The syncer: one fdatasync for all groups written so far, then acks and watches, then the index. A thread of
// its own, which a small group does not wait for when nothing else is to be synced: its writer's thread then
// does what is urgent (TrySync), and leaves the index to the syncer's.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "storage/base/clock.h"
#include "storage/base/memory_budget.h"
#include "storage/store/counters.h"
#include "storage/store/fatal.h"
#include "storage/store/group.h"
#include "storage/store/watches.h"

namespace naru {

class Syncer {
 public:
  struct Parts {
    Index& index;
    Watches& watches;
    MemoryBudget& queue;
    StoreCounters& counters;
    Fatal& fatal;
    const Clock& clock;
    // How long groups that nobody waits for may lie unsynced.
    absl::Duration background_interval;
    // What TrySync takes. 0: nothing.
    int64_t inline_bytes_max;
    // What was written and is less far behind the head is left in the page cache.
    int64_t kept_page_cache_bytes;
    // Called after commits, on the syncer's thread.
    absl::AnyInvocable<void()> on_commit;
  };

  // Everything up to `durable` is on stable storage.
  Syncer(Parts parts, Sequence durable);
  // Stop() came first.
  ~Syncer();

  // Syncs a group and answers who waits for it, here and now, if someone does, it is small, and nothing else
  // is being synced or waits for that. False: it is for Submit(), unchanged. From the appender.
  bool TrySync(std::unique_ptr<Group>& group) ABSL_LOCKS_EXCLUDED(mutex_);
  // Takes a group; waits while too many are under way. From the appender.
  void Submit(std::unique_ptr<Group> group) ABSL_LOCKS_EXCLUDED(mutex_);
  // Waits until everything submitted before is durable and in the index. Not from the syncer's own thread.
  void Drain() ABSL_LOCKS_EXCLUDED(mutex_);
  // Drains and ends the thread. Idempotent.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

  Sequence durable_sequence() const { return Sequence(durable_sequence_.load(std::memory_order_acquire)); }

 private:
  using Groups = std::vector<std::unique_ptr<Group>>;

  void Run();
  bool MustSync() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MustCommit() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Until there is something to do. False: stopping, and nothing is left.
  bool AwaitWork() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What waits to be synced, which is the caller's to sync from now on.
  Groups TakeQueue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // True: the groups, in the order they were written, are durable, and all who waited are answered.
  bool Settle(Groups& groups);
  bool Sync(const Groups& groups);
  void Publish(Groups& groups);
  bool Commit(Groups& groups);
  void Fail(Groups& groups);
  // From the page cache, what lies far behind these groups.
  void DropBehind(const Groups& groups);

  Parts parts_;
  std::atomic<uint64_t> durable_sequence_;

  absl::Mutex mutex_;
  absl::CondVar wake_;   // the syncer
  absl::CondVar moved_;  // those who wait for it
  std::deque<std::unique_ptr<Group>> queue_ ABSL_GUARDED_BY(mutex_);
  int64_t queued_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t queued_urgent_ ABSL_GUARDED_BY(mutex_) = 0;
  bool queued_eager_ ABSL_GUARDED_BY(mutex_) = false;  // some group is not lazy
  absl::Time deadline_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  // Some thread syncs and answers; at most one at a time.
  bool settling_ ABSL_GUARDED_BY(mutex_) = false;
  // Durable and answered, not in the index yet: written before anything in queue_.
  Groups settled_ ABSL_GUARDED_BY(mutex_);
  absl::Time commit_deadline_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  uint64_t submitted_ ABSL_GUARDED_BY(mutex_) = 0;  // groups
  uint64_t finished_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t drains_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  // The syncer thread's: segments that were written to and may be in the page cache, oldest first.
  struct Behind {
    std::weak_ptr<Segment> segment;
    int64_t written = 0;   // and not dropped
    uint64_t dropped = 0;  // up to this position
  };
  std::deque<Behind> behind_;
  int64_t kept_bytes_ = 0;  // of all of them together

  std::thread thread_;
};

}  // namespace naru
