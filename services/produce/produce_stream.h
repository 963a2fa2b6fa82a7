// One ProduceStream on gRPC: a thin shell that locks a ProduceSession, works on its messages and does what it
// says. Owns itself until gRPC is done with it; completions that come later find it still there and change
// nothing.
//
// Threads: one message at a time is worked on, by gRPC's thread or, when it had to wait for memory, by the
// executor's; completions come on the store's. Whoever finds the session with something to do does it, one
// thread at a time (Pump), without the lock held while gRPC is called.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/strings/cord.h"
#include "absl/synchronization/mutex.h"
#include "services/produce/part_appender.h"
#include "services/produce/produce_context.h"
#include "services/produce/produce_request.h"
#include "services/produce/produce_session.h"

namespace naru::services {

class ProduceStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                            public std::enable_shared_from_this<ProduceStream> {
 public:
  // `grpc` is gRPC's and lives until OnDone.
  static std::shared_ptr<ProduceStream> Make(std::shared_ptr<ProduceContext> context,
                                             grpc::CallbackServerContext& grpc);
  // Begins to read.
  void Start() { Pump(); }
  // The service is stopping: what was read is answered, then the stream ends with SHUTTING_DOWN.
  void Stop();
  // Called once, on gRPC's thread, when gRPC is done with it.
  void SetDone(absl::AnyInvocable<void()> done) { done_ = std::move(done); }

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  // An item being worked on.
  struct Item {
    int64_t id = 0;
    int64_t bytes = 0;
    int64_t begun_ns = 0;
    RawProduceRequest request;
    // Where it goes as a whole, as far as is known.
    std::optional<PartitionId> partition;
  };

  // An item before there is memory for it.
  struct ItemInHand {
    Item item;
    MemoryGate::Hold read;  // counts it until then
  };

  ProduceStream(std::shared_ptr<ProduceContext> context, grpc::CallbackServerContext& grpc);
  // The item that a message holds. Nothing: it was answered, or ended the stream.
  std::optional<Item> ReadItem(const absl::Cord& message);
  // Goes on with HandleItem once there is memory for the item. False: it waits for that, OnHandled comes
  // later.
  bool TakeMemory(ItemInHand in_hand);
  void HandleItem(Item item, MemoryGate::Hold hold);
  // Checks and appends; an error is the item's as a whole.
  absl::Status TryAppend(Item& item, MemoryGate::Hold hold);
  std::vector<PartPlace> Admit(const std::string& topic, const std::vector<ProducePart>& parts)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnAppended(const Item& item, const std::vector<PartPlace>& places, bool answer,
                  const std::vector<PartOutcome>& outcomes);
  void FailItem(const Item& item, const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CheckFailedPartitions() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnHandled();
  // Asks for a credit to read the next message.
  void AskToRead();
  void Pump();
  void Perform(ProduceSession::Step step);

  const std::shared_ptr<ProduceContext> context_;
  grpc::CallbackServerContext& grpc_;
  grpc::ByteBuffer message_;  // gRPC's while a read is out
  grpc::ByteBuffer answers_;  // gRPC's while a write is out
  absl::AnyInvocable<void()> done_;

  absl::Mutex mutex_;
  ProduceSession session_ ABSL_GUARDED_BY(mutex_);
  bool performing_ ABSL_GUARDED_BY(mutex_) = false;
  MemoryGate::WaitId memory_wait_ ABSL_GUARDED_BY(mutex_) = 0;
  // While asking to read, and reading.
  ReadCredits::Ticket ticket_ ABSL_GUARDED_BY(mutex_) = 0;
  // About what the next message takes.
  int64_t expected_bytes_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<ProduceStream> self_;
};

}  // namespace naru::services
