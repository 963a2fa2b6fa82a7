#include "services/consume/subscribe_stream.h"

#include "services/rpc/byte_buffer.h"
#include "services/rpc/parse_message.h"
#include "services/rpc/status.h"

namespace naru::services {

std::shared_ptr<SubscribeStream> SubscribeStream::Make(std::shared_ptr<ConsumeContext> context,
                                                       grpc::CallbackServerContext& grpc) {
  const std::shared_ptr<SubscribeStream> stream(new SubscribeStream(std::move(context), grpc));
  stream->self_ = stream;
  return stream;
}

SubscribeStream::SubscribeStream(std::shared_ptr<ConsumeContext> context, grpc::CallbackServerContext& grpc)
    : context_(std::move(context)),
      grpc_(grpc),
      strand_(context_->executor),
      session_(context_->options, context_->clock, *this) {
  context_->counters.streams.fetch_add(1, std::memory_order_relaxed);
  context_->counters.streams_open.fetch_add(1, std::memory_order_relaxed);
}

SubscribeStream::~SubscribeStream() { context_->subscriptions.Give(aside_bytes_); }

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

absl::StatusOr<LogInfo> SubscribeStream::Info(LogId log) { return context_->store.Info(log); }

int64_t SubscribeStream::MessageBytesMax() {
  // Any of the streams that are open may turn out not to read.
  return context_->memory->MessageBytesMax(context_->counters.streams_open.load(std::memory_order_relaxed));
}

bool SubscribeStream::SetAside(int64_t bytes) {
  if (!context_->subscriptions.TryTake(bytes)) return false;
  aside_bytes_ += bytes;
  return true;
}

void SubscribeStream::FindByTime(SubscribeSession::Lane lane, LogId log, int64_t timestamp_ms) {
  context_->store.FindByTime(log, timestamp_ms, [self = shared_from_this(), lane](auto found) {
    self->strand_.Post([self, lane, found = std::move(found)] { self->session_.OnFound(lane, found); });
  });
}

void SubscribeStream::Read(SubscribeSession::Lane lane, const ReadRequest& request, int64_t memory_bytes,
                           MemoryGate::Line line) {
  MemoryGate::Hold hold;
  const auto granted = [self = shared_from_this(), lane, request](MemoryGate::Hold bytes) {
    self->strand_.Post([self, lane, request, bytes = std::move(bytes)]() mutable {
      self->memory_wait_ = 0;
      self->ReadWith(lane, request, std::move(bytes));
    });
  };
  context_->memory->gate().TakeOrWait(memory_bytes, hold, memory_wait_, granted, line);
  if (memory_wait_ == 0) ReadWith(lane, request, std::move(hold));
}

void SubscribeStream::ReadWith(SubscribeSession::Lane lane, const ReadRequest& request,
                               MemoryGate::Hold hold) {
  if (session_.finished()) return;
  context_->store.Read(request, [self = shared_from_this(), lane,
                                 hold = std::move(hold)](absl::StatusOr<ReadResult> result) mutable {
    Strand& strand = self->strand_;
    strand.Post([self = std::move(self), lane, hold = std::move(hold), result = std::move(result)]() mutable {
      self->session_.OnRead(lane, std::move(result), std::move(hold));
    });
  });
}

void SubscribeStream::Watch(SubscribeSession::Lane lane, LogId log, Offset offset) {
  watches_[lane] = context_->store.Watch(log, offset, [self = shared_from_this(), lane] {
    self->strand_.Post([self, lane] {
      self->watches_.erase(lane);
      if (!self->session_.finished()) self->session_.OnReadable(lane);
    });
  });
}

void SubscribeStream::Unwatch(SubscribeSession::Lane lane) {
  const auto it = watches_.find(lane);
  if (it == watches_.end()) return;
  context_->store.CancelWatch(it->second);
  watches_.erase(it);
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
  if (memory_wait_ != 0) context_->memory->gate().CancelWait(memory_wait_);
  for (const auto& [lane, watch] : watches_) context_->store.CancelWatch(watch);
  watches_.clear();
  response_.Clear();
  if (absl::IsCancelled(status)) return ServerBidiReactor::Finish(grpc::Status::CANCELLED);
  context_->counters.errors.Count(status);
  ServerBidiReactor::Finish(status.ok() ? grpc::Status::OK : ToGrpcStatus(status, grpc_));
}

}  // namespace naru::services
