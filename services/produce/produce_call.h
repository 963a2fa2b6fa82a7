// One unary Produce. Made by the service for each call; owns itself until gRPC is done with it.
//
// Threads: Start runs on gRPC's; the answer goes out on whichever thread completes the last append. A call
// that is cancelled is let go at once, while its appends go on.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <memory>
#include <vector>

#include "services/produce/produce_answer.h"
#include "services/produce/produce_context.h"

namespace naru::services {

class ProduceCall final : public grpc::ServerUnaryReactor, public std::enable_shared_from_this<ProduceCall> {
 public:
  // `grpc` and `response` are gRPC's and live until OnDone.
  static std::shared_ptr<ProduceCall> Make(std::shared_ptr<ProduceContext> context,
                                           grpc::CallbackServerContext& grpc, grpc::ByteBuffer& response);
  void Start(const grpc::ByteBuffer& request);

  void OnCancel() override;
  void OnDone() override;

 private:
  ProduceCall(std::shared_ptr<ProduceContext> context, grpc::CallbackServerContext& grpc,
              grpc::ByteBuffer& response);
  absl::Status TryStart(const grpc::ByteBuffer& request);
  void OnAppended(const std::vector<PartOutcome>& outcomes);
  // The first caller answers, the others do nothing.
  bool ClaimAnswer() { return !answered_.exchange(true, std::memory_order_acq_rel); }
  void Fail(const absl::Status& status);

  const std::shared_ptr<ProduceContext> context_;
  grpc::CallbackServerContext& grpc_;
  grpc::ByteBuffer& response_;
  const int64_t begun_ns_;
  std::atomic<bool> answered_{false};
  std::shared_ptr<ProduceCall> self_;
};

}  // namespace naru::services
