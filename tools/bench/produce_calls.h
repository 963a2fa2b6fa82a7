// Batches as unary Produce calls, several at a time.
#pragma once

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "tools/bench/batch_sender.h"

namespace naru::bench {

class ProduceCalls final : public BatchSender {
 public:
  ProduceCalls(const SenderTask& task, std::shared_ptr<grpc::Channel> channel)
      : BatchSender(task), stub_(std::move(channel)) {}
  void Send(int64_t intended_ns) override;
  Tally Finish() override;

 private:
  struct Call;
  void Start(int64_t intended_ns) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void End(std::unique_ptr<Call> call, const grpc::Status& status);

  grpc::GenericStub stub_;
  absl::Mutex mutex_;
  Tally tally_ ABSL_GUARDED_BY(mutex_);
  size_t running_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace naru::bench
