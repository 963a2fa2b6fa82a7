// Which produce streams may read. What was read cannot be put back, so a stream takes a credit of about its
// next message first. While there is none it waits with nothing in its hands: streams that together send more
// than the store takes are slowed, not refused.
//
// A client that sends nothing would keep its stream's credit from the others. While others wait, credits are
// recalled for which nothing came for a while; a message that comes later is counted then, over the limit if
// need be. Where most turn out idle this goes faster and faster, so that thousands of them hold nobody up for
// long. Nothing is recalled while messages that were read wait for memory: to read more would not help.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "services/rpc/executor.h"
#include "services/rpc/memory_gate.h"

namespace naru::services {

// Thread-safe. Always made by std::make_shared: its timers find it gone when it is.
class ReadCredits : public std::enable_shared_from_this<ReadCredits> {
 public:
  // Names a stream's wait and then its credit. 0: neither.
  using Ticket = uint64_t;

  // Credits are `limit_bytes` together, and recalled after `idle` or, where most are idle, earlier. The
  // executor outlives it.
  ReadCredits(int64_t limit_bytes, std::chrono::milliseconds idle, Executor& executor)
      : idle_(idle), executor_(executor), gate_(limit_bytes), interval_(idle) {}

  // True: the stream may read. False: it may once `granted` is called, on a thread of the executor. Calls
  // nothing inline, so locks may be held.
  bool Ask(int64_t bytes, Ticket& ticket, absl::AnyInvocable<void()> granted);
  // A message of `bytes` came for the credit, recalled or not: the hold counts it until it goes.
  MemoryGate::Hold Use(Ticket ticket, int64_t bytes);
  // No message will come. `granted` is not called any more, unless it is being called already.
  void GiveUp(Ticket ticket);

  // Credits, and messages that are held.
  int64_t used_bytes() const { return gate_.used_bytes(); }
  // What streams wait to read, about.
  int64_t waiting_bytes() const { return gate_.waiting_bytes(); }
  // Reads that had to wait, since the start.
  int64_t waits() const { return gate_.refusals(); }

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Lent {
    MemoryGate::Hold hold;
    Time since;
  };

  void Lend(Ticket ticket, MemoryGate::Hold hold) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnGranted(Ticket ticket, MemoryGate::Hold hold, absl::AnyInvocable<void()> granted);
  void ArmTimer() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Recall();

  const std::chrono::milliseconds idle_;
  Executor& executor_;

  absl::Mutex mutex_;
  MemoryGate gate_;
  Ticket last_ticket_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<Ticket, MemoryGate::WaitId> waiting_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<Ticket, Lent> lent_ ABSL_GUARDED_BY(mutex_);
  int64_t lent_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool timer_armed_ ABSL_GUARDED_BY(mutex_) = false;
  // Until the next look at what is idle; and messages that came since the last.
  std::chrono::milliseconds interval_ ABSL_GUARDED_BY(mutex_);
  int64_t used_since_ ABSL_GUARDED_BY(mutex_) = 0;
  // Looks in a row that found more of them idle than not.
  int idle_looks_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace naru::services
