// The syncer: one fdatasync for all groups written so far, then acks and watches, then the index. A thread of
// its own.
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
    // Called after commits, on the syncer's thread.
    absl::AnyInvocable<void()> on_commit;
  };

  // Everything up to `durable` is on stable storage.
  Syncer(Parts parts, Sequence durable);
  // Stop() came first.
  ~Syncer();

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
  void Finish(Groups groups);
  bool Sync(const Groups& groups);
  void Publish(Groups& groups);
  bool Commit(Groups& groups);
  void Fail(Groups& groups);
  void DropBehind(const std::shared_ptr<Segment>& segment);

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
  uint64_t submitted_ ABSL_GUARDED_BY(mutex_) = 0;  // groups
  uint64_t finished_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t drains_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  // The syncer thread's: segments that are no longer written to and may still be in the page cache.
  std::deque<std::pair<std::weak_ptr<Segment>, int64_t>> behind_;
  uint64_t behind_bytes_ = 0;

  std::thread thread_;
};

}  // namespace naru
