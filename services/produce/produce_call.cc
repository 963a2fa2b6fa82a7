#include "services/produce/produce_call.h"

#include <utility>

#include "services/produce/part_appender.h"
#include "services/rpc/byte_buffer.h"
#include "services/rpc/status.h"
#include "storage/base/status.h"

namespace naru::services {

std::shared_ptr<ProduceCall> ProduceCall::Make(std::shared_ptr<ProduceContext> context,
                                               grpc::CallbackServerContext& grpc,
                                               grpc::ByteBuffer& response) {
  const std::shared_ptr<ProduceCall> call(new ProduceCall(std::move(context), grpc, response));
  call->self_ = call;
  return call;
}

ProduceCall::ProduceCall(std::shared_ptr<ProduceContext> context, grpc::CallbackServerContext& grpc,
                         grpc::ByteBuffer& response)
    : context_(std::move(context)),
      grpc_(grpc),
      response_(response),
      begun_ns_(context_->clock.MonotonicNs()) {
  context_->counters.calls.fetch_add(1, std::memory_order_relaxed);
  context_->counters.inflight.fetch_add(1, std::memory_order_relaxed);
}

void ProduceCall::Start(const grpc::ByteBuffer& request) {
  const absl::Status status = TryStart(request);
  if (status.ok()) return;
  context_->counters.errors.Count(status);
  if (ClaimAnswer()) Fail(status);
}

absl::Status ProduceCall::TryStart(const grpc::ByteBuffer& buffer) {
  NARU_RETURN_IF_ERROR(context_->CheckOpen());
  std::optional<MemoryGate::Hold> hold = context_->memory.TryTake(static_cast<int64_t>(buffer.Length()));
  if (!hold) {
    return MakeError(
        Reason::kTooManyInFlight,
        "the memory for requests that wait for the store is used up; nothing was appended, try again");
  }
  NARU_ASSIGN_OR_RETURN(const RawProduceRequest request, ParseProduceRequest(ToCord(buffer)));
  const std::shared_ptr<const cluster::TopicCatalog> catalog = context_->catalog.Current();
  NARU_ASSIGN_OR_RETURN(const ProduceTarget target, FindTarget(request, *catalog));
  NARU_ASSIGN_OR_RETURN(std::vector<ProducePart> parts,
                        PlanParts(target, request.batch, *catalog, context_->options, context_->turns));
  hold->Resize(hold->bytes() + BookkeepingBytes(parts));
  AppendParts(
      context_->store, context_->catalog, target, std::move(parts), {}, std::move(*hold),
      [self = shared_from_this()](const std::vector<PartOutcome>& outcomes) { self->OnAppended(outcomes); });
  if (!target.wants_ack && ClaimAnswer()) {
    response_ = ToByteBuffer(absl::Cord());
    Finish(grpc::Status::OK);
  }
  return absl::OkStatus();
}

void ProduceCall::OnAppended(const std::vector<PartOutcome>& outcomes) {
  context_->CountOutcomes(outcomes, begun_ns_);
  if (!ClaimAnswer()) return;
  const absl::Status failure = SharedFailure(outcomes);
  if (!failure.ok()) return Fail(failure);
  response_ = ToByteBuffer(EncodeProduceResponse(outcomes), std::string(), nullptr);
  Finish(grpc::Status::OK);
}

void ProduceCall::Fail(const absl::Status& status) { Finish(ToGrpcStatus(status, grpc_)); }

void ProduceCall::OnCancel() {
  if (ClaimAnswer()) Finish(grpc::Status::CANCELLED);
}

void ProduceCall::OnDone() {
  context_->counters.inflight.fetch_sub(1, std::memory_order_relaxed);
  self_.reset();
}

}  // namespace naru::services
