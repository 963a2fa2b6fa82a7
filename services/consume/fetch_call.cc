#include "services/consume/fetch_call.h"

#include <algorithm>
#include <utility>

#include "services/rpc/byte_buffer.h"
#include "services/rpc/parse_message.h"
#include "services/rpc/status.h"
#include "storage/base/status.h"
#include "storage/log/log_state.h"

namespace naru::services {
namespace {

// Answers up to this size do not matter to the memory bound when they lie unread.
constexpr int64_t kStallBytesMin = 4096;

// The fields of a FetchResponse beside its records.
std::string EncodeFrame(const FetchPlan& plan, const Delivery& delivery) {
  naru::v1::FetchResponse frame;
  frame.set_partition(plan.partition);
  frame.set_next_offset(delivery.next_offset().value());
  frame.set_high_watermark(delivery.high_watermark().value());
  frame.set_log_start_offset(delivery.log_start().value());
  frame.set_topic_id(plan.topic->topic_id);
  return frame.SerializeAsString();
}

}  // namespace

std::shared_ptr<FetchCall> FetchCall::Make(std::shared_ptr<ConsumeContext> context,
                                           grpc::CallbackServerContext& grpc, grpc::ByteBuffer& response) {
  const std::shared_ptr<FetchCall> call(new FetchCall(std::move(context), grpc, response));
  call->self_ = call;
  return call;
}

FetchCall::FetchCall(std::shared_ptr<ConsumeContext> context, grpc::CallbackServerContext& grpc,
                     grpc::ByteBuffer& response)
    : context_(std::move(context)),
      grpc_(grpc),
      response_(response),
      begun_ns_(context_->clock.MonotonicNs()),
      strand_(context_->executor) {
  context_->counters.fetches.fetch_add(1, std::memory_order_relaxed);
  context_->counters.fetches_open.fetch_add(1, std::memory_order_relaxed);
}

void FetchCall::Start(const grpc::ByteBuffer& request) {
  strand_.Run([self = shared_from_this(), request] { self->Begin(request); });
}

void FetchCall::Begin(const grpc::ByteBuffer& buffer) {
  if (answered_) return;
  if (absl::Status open = context_->CheckOpen(); !open.ok()) return Fail(open);
  naru::v1::FetchRequest request;
  if (absl::Status parsed = ParseMessage(buffer, request); !parsed.ok()) return Fail(parsed);
  absl::StatusOr<FetchPlan> plan = PlanFetch(request, *context_->catalog.Current(), context_->options);
  if (!plan.ok()) return Fail(plan.status());
  plan_ = *std::move(plan);

  const auto left = grpc_.deadline() - std::chrono::system_clock::now();
  const auto wait = WaitBeforeDeadline(plan_.max_wait, left);
  expired_ = wait.count() <= 0;
  if (!expired_) {
    wait_timer_ = context_->executor.RunAfter(wait, [weak = weak_from_this()] {
      if (auto self = weak.lock()) self->strand_.Run([self] { self->OnExpired(); });
    });
  }
  Locate();
}

void FetchCall::Locate() {
  LogStore& store = context_->store;
  if (plan_.start.kind == StartPoint::Kind::kOffset) return OnLocated(plan_.start.offset);
  if (plan_.start.kind == StartPoint::Kind::kTime) {
    return store.FindByTime(
        plan_.log, plan_.start.timestamp_ms,
        [self = shared_from_this()](absl::StatusOr<std::optional<TimedOffset>> found) {
          self->strand_.Post([self, found = std::move(found)] {
            if (!found.ok()) return self->OnLocated(found.status());
            if (found->has_value()) return self->OnLocated((*found)->offset);
            const absl::StatusOr<LogInfo> info = self->context_->store.Info(self->plan_.log);
            self->OnLocated(info.ok() ? absl::StatusOr<Offset>(info->readable_end) : info.status());
          });
        });
  }
  const absl::StatusOr<LogInfo> info = store.Info(plan_.log);
  if (!info.ok()) return OnLocated(info.status());
  OnLocated(plan_.start.kind == StartPoint::Kind::kLatest ? info->readable_end : info->log_start);
}

void FetchCall::OnLocated(absl::StatusOr<Offset> from) {
  if (answered_) return;
  if (!from.ok()) return Fail(from.status());
  delivery_.emplace(plan_.form, *from, plan_.bounds);
  if (!delivery_->range_ended()) return ReadMore();
  // Nothing lies between the start and end_offset. The store is not asked, so the start is checked here.
  const absl::StatusOr<LogInfo> info = context_->store.Info(plan_.log);
  if (!info.ok()) return Fail(info.status());
  if (*from < info->log_start || *from > info->readable_end) {
    return Fail(OffsetOutOfRange("offset", *from, info->log_start, info->readable_end));
  }
  (void)delivery_->Add({.log_start = info->log_start, .readable_end = info->readable_end});
  Answer();
}

void FetchCall::ReadMore() {
  // The batches that are read, at least one, and the records that are made of them.
  const int64_t read_bytes = std::max(delivery_->bytes_left(), context_->options.batch_bytes_max);
  const int64_t made_bytes = delivery_->stored_batches() ? 0 : delivery_->bytes_left();
  MemoryGate::Hold hold;
  context_->memory.TakeOrWait(read_bytes + made_bytes, hold, memory_wait_,
                              [self = shared_from_this()](MemoryGate::Hold granted) {
                                self->strand_.Post([self, granted = std::move(granted)]() mutable {
                                  self->memory_wait_ = 0;
                                  self->Read(std::move(granted));
                                });
                              });
  if (memory_wait_ == 0) Read(std::move(hold));
}

void FetchCall::Read(MemoryGate::Hold hold) {
  if (answered_) return;
  const ReadRequest request{.log = plan_.log,
                            .from = delivery_->next_offset(),
                            .end = plan_.bounds.end,
                            .bytes_max = delivery_->bytes_left()};
  context_->store.Read(request, [self = shared_from_this(),
                                 hold = std::move(hold)](absl::StatusOr<ReadResult> result) mutable {
    Strand& strand = self->strand_;
    strand.Post([self = std::move(self), hold = std::move(hold), result = std::move(result)]() mutable {
      self->OnRead(std::move(result), std::move(hold));
    });
  });
}

void FetchCall::OnRead(absl::StatusOr<ReadResult> result, MemoryGate::Hold hold) {
  if (answered_) return;
  // Retention may pass the earliest record between finding it and reading it.
  if (!result.ok() && !read_once_ && plan_.start.kind == StartPoint::Kind::kEarliest &&
      ReasonOf(result.status()) == Reason::kOffsetOutOfRange) {
    hold.Release();
    return Locate();
  }
  read_once_ = true;
  const absl::Status status = result.ok() ? delivery_->Add(*result) : result.status();
  result = absl::UnknownError("used up");  // lets go of the batches
  if (kept_.bytes() == 0) kept_ = std::move(hold);
  kept_.Resize(delivery_->size_bytes());
  hold.Release();
  // What came before an error is delivered, the error next time.
  if (!status.ok()) return delivery_->empty() ? Fail(status) : Answer();
  if (expired_ || delivery_->full() || delivery_->size_bytes() >= plan_.min_bytes) return Answer();
  WaitForMore();
}

void FetchCall::WaitForMore() {
  watch_ = context_->store.Watch(plan_.log, delivery_->next_offset(), [self = shared_from_this()] {
    self->strand_.Post([self] {
      self->watch_.reset();
      if (!self->answered_) self->ReadMore();
    });
  });
}

void FetchCall::OnExpired() {
  expired_ = true;
  // A first read is waited for: it ends by itself, and then answers.
  const bool reading = !watch_ && (memory_wait_ == 0 || !read_once_);
  if (!answered_ && !reading) Answer();
}

void FetchCall::Stop() {
  strand_.Post([self = shared_from_this()] { self->OnExpired(); });
}

void FetchCall::Answer() {
  if (!ClaimAnswer()) return;
  ConsumeCounters& counters = context_->counters;
  counters.records.fetch_add(delivery_->record_count(), std::memory_order_relaxed);
  counters.bytes.fetch_add(delivery_->size_bytes(), std::memory_order_relaxed);
  counters.fetch.Add(context_->clock.MonotonicNs() - begun_ns_);

  const int64_t size = delivery_->size_bytes();
  auto kept = std::make_shared<MemoryGate::Hold>(std::move(kept_));
  std::string frame = EncodeFrame(plan_, *delivery_);
  response_ = delivery_->stored_batches()
                  ? ToByteBuffer(std::move(frame), delivery_->TakeBatches(), std::move(kept))
                  : ToByteBuffer(std::move(frame), delivery_->TakeRecords(), std::move(kept));
  if (size >= kStallBytesMin) {
    absl::MutexLock lock(&mutex_);
    ArmStallTimer();
  }
  Finish(grpc::Status::OK);
}

void FetchCall::Fail(const absl::Status& status) {
  if (!ClaimAnswer()) return;
  context_->counters.errors.Count(status);
  Finish(ToGrpcStatus(status, grpc_));
}

bool FetchCall::ClaimAnswer() {
  if (std::exchange(answered_, true)) return false;
  context_->executor.Cancel(wait_timer_);
  if (memory_wait_ != 0) context_->memory.CancelWait(memory_wait_);
  if (watch_) context_->store.CancelWatch(*watch_);
  watch_.reset();
  return true;
}

void FetchCall::ArmStallTimer() {
  const auto delay = std::chrono::milliseconds(context_->options.stalled_after_ms);
  stall_timer_ = context_->executor.RunAfter(delay, [weak = weak_from_this()] {
    if (auto self = weak.lock()) self->CheckStalled();
  });
}

void FetchCall::CheckStalled() {
  absl::MutexLock lock(&mutex_);
  if (is_done_) return;
  if (!context_->memory.contended()) return ArmStallTimer();
  context_->counters.stalled.fetch_add(1, std::memory_order_relaxed);
  grpc_.TryCancel();
}

void FetchCall::OnCancel() {
  strand_.Run([self = shared_from_this()] {
    if (!self->ClaimAnswer()) return;
    self->kept_.Release();
    self->Finish(grpc::Status::CANCELLED);
  });
}

void FetchCall::OnDone() {
  {
    absl::MutexLock lock(&mutex_);
    is_done_ = true;
    context_->executor.Cancel(stall_timer_);
  }
  context_->counters.fetches_open.fetch_sub(1, std::memory_order_relaxed);
  if (done_) done_();
  self_.reset();
}

}  // namespace naru::services
