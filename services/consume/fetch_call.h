// One Fetch: reads, waits for more where asked to, answers. Made by the service for each call; owns itself
// until gRPC is done with it.
//
// It holds no memory while it waits for records: what is there and less than min_bytes is counted and let go
// of, and read again once there is enough.
//
// Threads: everything happens in the call's strand, begun by gRPC's thread and gone on with by the
// executor's; the store and timers only post to it.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "services/consume/consume_context.h"
#include "services/consume/delivery.h"
#include "services/consume/fetch_plan.h"
#include "services/rpc/strand.h"

namespace naru::services {

class FetchCall final : public grpc::ServerUnaryReactor,
                        public std::enable_shared_from_this<FetchCall>,
                        public ConsumeMemory::Reader {
 public:
  // `grpc` and `response` are gRPC's and live until OnDone.
  static std::shared_ptr<FetchCall> Make(std::shared_ptr<ConsumeContext> context,
                                         grpc::CallbackServerContext& grpc, grpc::ByteBuffer& response);
  // Called once, when gRPC is done with the call. Set before Start.
  void SetDone(absl::AnyInvocable<void()> done) { done_ = std::move(done); }
  void Start(const grpc::ByteBuffer& request);
  // The service is stopping: answers with what there is. Any thread.
  void Stop();

  void CutOff() override;
  void OnCancel() override;
  void OnDone() override;

 private:
  FetchCall(std::shared_ptr<ConsumeContext> context, grpc::CallbackServerContext& grpc,
            grpc::ByteBuffer& response);

  // All of these in the strand.
  void Begin(const grpc::ByteBuffer& request);
  void Locate();
  // The log's ends, from whoever has it: at once if that is this broker; else later, in the strand.
  void WithInfo(absl::AnyInvocable<void(absl::StatusOr<LogInfo>)> use);
  void OnLocated(absl::StatusOr<Offset> from);
  void AnswerNothing(const absl::StatusOr<LogInfo>& info);
  // Reads what is to be answered, from the start.
  void Gather();
  // Reads from where it was counted to, to count what has come.
  void Count();
  // Takes memory, unless there is some, then reads.
  void ReadMore();
  void Read();
  void OnRead(absl::StatusOr<ReadResult> result);
  void OnEnough();
  void WaitForMore();
  void OnExpired();
  void Answer();
  void Fail(const absl::Status& status);
  // Ends every wait; true the first time.
  bool ClaimAnswer();

  const std::shared_ptr<ConsumeContext> context_;
  grpc::CallbackServerContext& grpc_;
  grpc::ByteBuffer& response_;
  const int64_t begun_ns_;
  absl::AnyInvocable<void()> done_;
  Strand strand_;

  // Read, too little to be answered, and let go of.
  struct Counted {
    Offset next;
    int64_t bytes = 0;
    int64_t records = 0;
  };

  FetchPlan plan_;
  Offset from_;
  std::optional<Delivery> delivery_;
  Counted counted_;
  // For what is read and what is in delivery_.
  MemoryGate::Hold hold_;
  int64_t bytes_max_ = 0;    // of the answer
  int64_t batch_bytes_ = 0;  // of a batch that is there, as far as known
  bool reading_ = false;
  bool read_once_ = false;
  bool something_there_ = false;
  bool expired_ = false;
  bool answered_ = false;
  Executor::TimerId wait_timer_;
  MemoryGate::WaitId memory_wait_ = 0;
  std::optional<LogStore::WatchId> watch_;

  // Guards the time between the answer and OnDone, when gRPC's context may go away.
  absl::Mutex mutex_;
  bool is_done_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<FetchCall> self_;
};

}  // namespace naru::services
