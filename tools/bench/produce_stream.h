// Batches over one ProduceStream.
#pragma once

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <deque>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "naru/v1/produce.pb.h"
#include "tools/bench/batch_sender.h"
#include "tools/bench/stream_sequences.h"

namespace naru::bench {

class ProduceStream final : public BatchSender,
                            private grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  ProduceStream(const SenderTask& task, std::shared_ptr<grpc::Channel> channel);
  void Send(int64_t intended_ns) override;
  Tally Finish() override;

 private:
  void OnWriteDone(bool ok) override;
  void OnReadDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

  void Enqueue(int64_t intended_ns) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeAnswers() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeResult(const naru::v1::ProduceStreamResult& result, int64_t now_ns)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  grpc::ByteBuffer outgoing_;
  grpc::ByteBuffer incoming_;

  absl::Mutex mutex_;
  Tally tally_ ABSL_GUARDED_BY(mutex_);
  StreamSequences sequences_ ABSL_GUARDED_BY(mutex_);
  // Intended send times of what waits to be written, and by id of what waits for its answer.
  std::deque<int64_t> waiting_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<int64_t, int64_t> in_flight_ ABSL_GUARDED_BY(mutex_);
  int64_t last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  // An item failed: its partition waits for a Resume.
  bool resume_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finishing_ ABSL_GUARDED_BY(mutex_) = false;
  bool half_closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace naru::bench
