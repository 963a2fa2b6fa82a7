// The memory for messages to clients: who gets it, how much a message may take of it, and who must give it
// back. A client that does not read pins what lies in front of it. That is counted, little by little, and
// while others wait for memory whoever has not read for longest is cut off.
//
// Thread-safe. Shared: messages that gRPC holds keep it alive. The executor and the clock outlive it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "services/consume/consume_options.h"
#include "services/rpc/executor.h"
#include "services/rpc/memory_gate.h"
#include "storage/base/clock.h"

namespace naru::services {

class ConsumeMemory final : public std::enable_shared_from_this<ConsumeMemory> {
 public:
  // A call or stream that sends messages.
  class Reader {
   public:
    virtual ~Reader() = default;
    // Its client does not read and others wait: end it, so that its memory comes back. Any thread, without
    // locks held; it may have ended.
    virtual void CutOff() = 0;
  };

  static std::shared_ptr<ConsumeMemory> Make(const ConsumeOptions& options, Executor& executor,
                                             const Clock& clock);

  MemoryGate& gate() { return gate_; }
  const MemoryGate& gate() const { return gate_; }

  // What a message may take, bytes, of one of so many senders: whatever it likes, or while memory is scarce
  // its share of a quarter, but at least stream_first_message_bytes.
  int64_t MessageBytesMax(int64_t senders) const;
  // Messages handed over that lie unread.
  int64_t unread_messages() const ABSL_LOCKS_EXCLUDED(mutex_);

  // What owns a message's bytes from now on, until gRPC lets go of them: they lie unread as long.
  std::shared_ptr<const void> HandOver(MemoryGate::Hold hold, std::weak_ptr<Reader> reader);

  // Cuts off readers whose message is unread for stalled_after_ms or longer, if anybody waits: those of the
  // oldest messages, until what they hold is what is waited for. Called by itself in time.
  void CutOffStalled();

 private:
  using Number = uint64_t;  // rises with time
  struct Unread {
    int64_t begun_ns = 0;
    int64_t bytes = 0;
    std::weak_ptr<Reader> reader;
  };
  struct Message;

  ConsumeMemory(const ConsumeOptions& options, Executor& executor, const Clock& clock);

  void OnContended();
  void Forget(Number number);
  std::vector<std::shared_ptr<Reader>> TakeStalled() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Looks again when the oldest message has been unread for too long.
  void Arm(int64_t delay_ns_min) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Executor& executor_;
  const Clock& clock_;
  const int64_t stalled_after_ns_;
  const int64_t message_bytes_min_;
  MemoryGate gate_;

  // Locked before the gate's.
  mutable absl::Mutex mutex_;
  std::map<Number, Unread> unread_ ABSL_GUARDED_BY(mutex_);
  Number last_number_ ABSL_GUARDED_BY(mutex_) = 0;
  bool armed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace naru::services
