#include "services/consume/consume_memory.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace naru::services {
namespace {

// What was cut off needs a moment to give its memory back.
constexpr int64_t kAfterCutNs = 20'000'000;

}  // namespace

// What gRPC keeps with the slices of one message.
struct ConsumeMemory::Message {
  Message(std::shared_ptr<ConsumeMemory> from, MemoryGate::Hold held)
      : memory(std::move(from)), hold(std::move(held)) {}
  ~Message() {
    memory->Forget(number);
    hold.Release();
  }

  const std::shared_ptr<ConsumeMemory> memory;
  MemoryGate::Hold hold;
  Number number = 0;
};

std::shared_ptr<ConsumeMemory> ConsumeMemory::Make(const ConsumeOptions& options, Executor& executor,
                                                   const Clock& clock) {
  return std::shared_ptr<ConsumeMemory>(new ConsumeMemory(options, executor, clock));
}

ConsumeMemory::ConsumeMemory(const ConsumeOptions& options, Executor& executor, const Clock& clock)
    : executor_(executor),
      clock_(clock),
      stalled_after_ns_(options.stalled_after_ms * 1'000'000),
      message_bytes_min_(options.stream_first_message_bytes),
      gate_(options.memory_bytes, INT64_MAX, [this] { OnContended(); }) {}

int64_t ConsumeMemory::MessageBytesMax(int64_t senders) const {
  if (!gate_.scarce()) return INT64_MAX;
  return std::max(message_bytes_min_, gate_.limit_bytes() / 4 / std::max<int64_t>(senders, 1));
}

int64_t ConsumeMemory::unread_messages() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int64_t>(unread_.size());
}

std::shared_ptr<const void> ConsumeMemory::HandOver(MemoryGate::Hold hold, std::weak_ptr<Reader> reader) {
  const int64_t bytes = hold.bytes();
  if (bytes == 0) return nullptr;
  auto message = std::make_shared<Message>(shared_from_this(), std::move(hold));
  absl::MutexLock lock(&mutex_);
  message->number = ++last_number_;
  unread_[message->number] = {clock_.MonotonicNs(), bytes, std::move(reader)};
  if (!armed_ && gate_.contended()) Arm(0);
  return message;
}

void ConsumeMemory::Forget(Number number) {
  absl::MutexLock lock(&mutex_);
  unread_.erase(number);
}

void ConsumeMemory::OnContended() {
  absl::MutexLock lock(&mutex_);
  if (!armed_ && !unread_.empty()) Arm(0);
}

void ConsumeMemory::CutOffStalled() {
  std::vector<std::shared_ptr<Reader>> stalled;  // perhaps the last to hold them: let go of without the lock
  {
    absl::MutexLock lock(&mutex_);
    // First, so that whoever begins to wait from here on sees to it.
    armed_ = false;
    if (!gate_.contended()) return;
    stalled = TakeStalled();
    if (!unread_.empty()) Arm(stalled.empty() ? 0 : kAfterCutNs);
  }
  for (const std::shared_ptr<Reader>& reader : stalled) reader->CutOff();
}

std::vector<std::shared_ptr<ConsumeMemory::Reader>> ConsumeMemory::TakeStalled() {
  std::vector<std::shared_ptr<Reader>> stalled;
  const int64_t begun_max_ns = clock_.MonotonicNs() - stalled_after_ns_;
  int64_t wanted = gate_.waiting_bytes();
  while (wanted > 0 && !unread_.empty() && unread_.begin()->second.begun_ns <= begun_max_ns) {
    const Unread& oldest = unread_.begin()->second;
    if (std::shared_ptr<Reader> reader = oldest.reader.lock()) {
      wanted -= oldest.bytes;
      stalled.push_back(std::move(reader));
    }
    unread_.erase(unread_.begin());
  }
  return stalled;
}

void ConsumeMemory::Arm(int64_t delay_ns_min) {
  armed_ = true;
  const int64_t due_ns = unread_.begin()->second.begun_ns + stalled_after_ns_ - clock_.MonotonicNs();
  executor_.RunAfter(std::chrono::nanoseconds(std::max(due_ns, delay_ns_min)), [weak = weak_from_this()] {
    if (const std::shared_ptr<ConsumeMemory> memory = weak.lock()) memory->CutOffStalled();
  });
}

}  // namespace naru::services
