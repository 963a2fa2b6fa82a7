#include "services/consume/subscribe_stream.h"

#include "services/rpc/byte_buffer.h"
#include "services/rpc/parse_message.h"
#include "services/rpc/status.h"

namespace naru::services {

std::shared_ptr<SubscribeStream> SubscribeStream::Make(std::shared_ptr<ConsumeContext> context,
                                                       grpc::CallbackServerContext& grpc) {
  const std::shared_ptr<SubscribeStream> stream(new SubscribeStream(std::move(context), grpc));
  stream->self_ = stream;
  stream->store_.SetStream(stream);
  return stream;
}

SubscribeStream::SubscribeStream(std::shared_ptr<ConsumeContext> context, grpc::CallbackServerContext& grpc)
    : context_(std::move(context)),
      grpc_(grpc),
      strand_(context_->executor),
      store_(*context_, strand_, *this),
      session_(context_->options, context_->clock, *this) {
  context_->counters.streams.fetch_add(1, std::memory_order_relaxed);
  context_->counters.streams_open.fetch_add(1, std::memory_order_relaxed);
}

void SubscribeStream::Start() {
  strand_.Run([self = shared_from_this()] {
    if (self->session_.finished()) return;
    self->StartRead(&self->request_);
  });
}

void SubscribeStream::OnReadDone(bool ok) {
  strand_.Run([self = shared_from_this(), ok] {
    if (self->session_.finished()) return;
    if (!ok) return self->session_.OnHalfClose();
    self->OnRequest();
  });
}

void SubscribeStream::OnRequest() {
  naru::v1::SubscribeRequest request;
  const absl::Status parsed = ParseMessage(request_, request);
  if (!parsed.ok()) return session_.End(parsed);
  session_.OnRequest(request, *context_->catalog.Current());
  if (session_.finished()) return;
  StartRead(&request_);
  // The first request is the start; before it there is nothing to keep time for.
  if (!std::exchange(ticking_, true)) ArmTick();
}

void SubscribeStream::OnWriteDone(bool ok) {
  strand_.Run([self = shared_from_this(), ok] {
    // Else the message would stay in memory until the next one.
    self->response_.Clear();
    self->session_.OnWritten(ok);
  });
}

void SubscribeStream::OnCancel() {
  strand_.Run(
      [self = shared_from_this()] { self->session_.End(absl::CancelledError("the call was cancelled")); });
}

void SubscribeStream::OnCatalogChanged() {
  strand_.Post([self = shared_from_this()] { self->session_.OnCatalog(*self->context_->catalog.Current()); });
}

void SubscribeStream::Stop() {
  strand_.Post([self = shared_from_this()] { self->session_.End(self->context_->CheckOpen()); });
}

void SubscribeStream::OnDone() {
  context_->counters.streams_open.fetch_sub(1, std::memory_order_relaxed);
  if (done_) done_();
  self_.reset();
}

void SubscribeStream::ArmTick() {
  tick_ = context_->executor.RunAfter(session_.NextTick(), [weak = weak_from_this()] {
    auto self = weak.lock();
    if (self != nullptr) self->strand_.Post([self] { self->Tick(); });
  });
}

void SubscribeStream::Tick() {
  if (session_.finished()) return;
  session_.OnTick();
  if (!session_.finished()) ArmTick();
}

void SubscribeStream::CutOff() {
  strand_.Post([self = shared_from_this()] {
    if (self->session_.finished()) return;
    self->context_->counters.stalled.fetch_add(1, std::memory_order_relaxed);
    // Not finished, so gRPC's context is there. The write fails, and with it the stream ends.
    self->grpc_.TryCancel();
  });
}

void SubscribeStream::Write(SubscribeSession::Message message) {
  ConsumeCounters& counters = context_->counters;
  if (message.record_count > 0) {
    counters.deliveries.fetch_add(1, std::memory_order_relaxed);
    counters.records.fetch_add(message.record_count, std::memory_order_relaxed);
    counters.bytes.fetch_add(message.size_bytes(), std::memory_order_relaxed);
  }
  auto unread = context_->memory->HandOver(std::move(message.hold), weak_from_this());
  response_ = message.batches.empty()
                  ? ToByteBuffer(std::move(message.head), std::move(message.records), std::move(unread))
                  : ToByteBuffer(std::move(message.head), message.batches, std::move(unread));
  StartWrite(&response_);
}

void SubscribeStream::Finish(const absl::Status& status) {
  context_->executor.Cancel(tick_);
  store_.Close();
  response_.Clear();
  if (absl::IsCancelled(status)) return ServerBidiReactor::Finish(grpc::Status::CANCELLED);
  context_->counters.errors.Count(status);
  ServerBidiReactor::Finish(status.ok() ? grpc::Status::OK : ToGrpcStatus(status, grpc_));
}

}  // namespace naru::services
