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

// The fields of a FetchResponse beside its records.
std::string EncodeFrame(const FetchPlan& plan, const Delivery& delivery) {
  naru::v1::FetchResponse frame;
  frame.set_partition(plan.partition);
  frame.set_next_offset(delivery.next_offset().value());
  frame.set_high_watermark(delivery.high_watermark().value());
  frame.set_log_start_offset(delivery.log_start().value());
  frame.set_topic_id(plan.topic->topic_id);
  frame.set_leader(plan.leader.value());
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
            self->WithInfo([self](const absl::StatusOr<LogInfo>& info) {
              self->OnLocated(info.ok() ? absl::StatusOr<Offset>(info->readable_end) : info.status());
            });
          });
        });
  }
  WithInfo([self = shared_from_this()](const absl::StatusOr<LogInfo>& info) {
    if (!info.ok()) return self->OnLocated(info.status());
    const bool latest = self->plan_.start.kind == StartPoint::Kind::kLatest;
    self->OnLocated(latest ? info->readable_end : info->log_start);
  });
}

void FetchCall::WithInfo(absl::AnyInvocable<void(absl::StatusOr<LogInfo>)> use) {
  absl::StatusOr<LogInfo> info = context_->store.Info(plan_.log);
  if (ReasonOf(info.status()) != Reason::kNoLeader) return use(std::move(info));
  context_->store.AskInfo(
      plan_.log, [self = shared_from_this(), use = std::move(use)](absl::StatusOr<LogInfo> asked) mutable {
        self->strand_.Post([self, use = std::move(use), asked = std::move(asked)]() mutable {
          if (!self->answered_) use(std::move(asked));
        });
      });
}

void FetchCall::OnLocated(absl::StatusOr<Offset> from) {
  if (answered_) return;
  if (!from.ok()) return Fail(from.status());
  from_ = *from;
  if (from_ < plan_.bounds.end) return Gather();
  // Nothing lies between the start and end_offset. The store is not asked, so the start is checked here.
  WithInfo([self = shared_from_this()](const absl::StatusOr<LogInfo>& info) { self->AnswerNothing(info); });
}

void FetchCall::AnswerNothing(const absl::StatusOr<LogInfo>& info) {
  if (!info.ok()) return Fail(info.status());
  if (plan_.start.kind == StartPoint::Kind::kOffset &&
      (from_ < info->log_start || from_ > info->readable_end)) {
    return Fail(OffsetOutOfRange("offset", from_, info->log_start, info->readable_end));
  }
  delivery_.emplace(plan_.form, from_, plan_.bounds);
  (void)delivery_->Add({.log_start = info->log_start, .readable_end = info->readable_end});
  Answer();
}

void FetchCall::Gather() {
  counted_ = {};
  bytes_max_ = plan_.bounds.bytes_max;
  // Who asks for a size gets it; a bound anywhere near it might cut below it.
  if (plan_.min_bytes <= 1) {
    ConsumeMemory& memory = *context_->memory;
    bytes_max_ = std::min(bytes_max_, memory.MessageBytesMax(memory.unread_messages() + 1));
  }
  DeliveryBounds bounds = plan_.bounds;
  bounds.bytes_max = bytes_max_;
  delivery_.emplace(plan_.form, from_, bounds);
  ReadMore();
}

void FetchCall::Count() {
  DeliveryBounds bounds = plan_.bounds;
  bounds.bytes_max = bytes_max_ - counted_.bytes;
  if (bounds.records_max > 0) bounds.records_max -= counted_.records;
  delivery_.emplace(plan_.form, counted_.next, bounds);
  ReadMore();
}

void FetchCall::ReadMore() {
  // The batches that are read, one at least, and the records that are made of them: enough for every read
  // until the answer.
  const int64_t read_bytes = std::max(bytes_max_, batch_bytes_);
  const int64_t made_bytes = delivery_->stored_batches() ? 0 : bytes_max_;
  if (hold_.bytes() >= std::min(read_bytes + made_bytes, context_->memory->gate().limit_bytes()))
    return Read();
  const auto granted = [self = shared_from_this()](MemoryGate::Hold bytes) {
    self->strand_.Post([self, bytes = std::move(bytes)]() mutable {
      self->memory_wait_ = 0;
      self->hold_ = std::move(bytes);
      self->Read();
    });
  };
  context_->memory->gate().TakeOrWait(read_bytes + made_bytes, hold_, memory_wait_, granted);
  if (memory_wait_ == 0) Read();
}

void FetchCall::Read() {
  if (answered_) return hold_.Release();
  reading_ = true;
  const ReadRequest request{.log = plan_.log,
                            .from = delivery_->next_offset(),
                            .end = plan_.bounds.end,
                            .bytes_max = delivery_->bytes_left(),
                            .first_bytes_max = std::max(bytes_max_, batch_bytes_),
                            .here_only = plan_.here_only};
  context_->store.Read(request, [self = shared_from_this()](absl::StatusOr<ReadResult> result) {
    self->strand_.Post([self, result = std::move(result)]() mutable { self->OnRead(std::move(result)); });
  });
}

void FetchCall::OnRead(absl::StatusOr<ReadResult> result) {
  reading_ = false;
  if (answered_) return hold_.Release();
  // Retention may pass the first record between finding it and reading it. The latest is found once: looked
  // for again it would skip what came while the call waited.
  const StartPoint::Kind start = plan_.start.kind;
  const bool find_again =
      start != StartPoint::Kind::kOffset && (start != StartPoint::Kind::kLatest || !read_once_);
  if (find_again && delivery_->empty() && ReasonOf(result.status()) == Reason::kOffsetOutOfRange) {
    hold_.Release();
    return Locate();
  }
  if (result.ok() && result->first_batch_bytes > 0) {
    // It takes more memory than was asked for: once more, with that.
    batch_bytes_ = result->first_batch_bytes;
    return counted_.bytes == 0 ? Gather() : Count();
  }
  read_once_ = true;
  const absl::Status status = result.ok() ? delivery_->Add(*result) : result.status();
  const bool more =
      result.ok() && !result->batches.empty() && delivery_->next_offset() < result->readable_end;
  result = absl::UnknownError("used up");  // lets go of the batches
  something_there_ = something_there_ || !delivery_->empty();
  // What came before an error is delivered, the error next time.
  if (!status.ok()) return counted_.bytes == 0 && delivery_->empty() ? Fail(status) : OnEnough();
  if (expired_ || delivery_->full() || counted_.bytes + delivery_->size_bytes() >= plan_.min_bytes) {
    return OnEnough();
  }
  return more ? Read() : WaitForMore();
}

void FetchCall::OnEnough() {
  if (counted_.bytes == 0) return Answer();
  Gather();
}

void FetchCall::WaitForMore() {
  if (!delivery_->empty()) {
    counted_.next = delivery_->next_offset();
    counted_.bytes += delivery_->size_bytes();
    counted_.records += delivery_->record_count();
    delivery_->Drop();
  }
  hold_.Release();
  watch_ = context_->store.Watch(plan_.log, delivery_->next_offset(), [self = shared_from_this()] {
    self->strand_.Post([self] {
      self->watch_.reset();
      if (self->answered_) return;
      self->counted_.bytes == 0 ? self->ReadMore() : self->Count();
    });
  });
}

void FetchCall::OnExpired() {
  expired_ = true;
  if (answered_) return;
  if (watch_ && something_there_) {
    // One that has fired reads by itself.
    if (!context_->store.CancelWatch(*watch_)) return;
    watch_.reset();
    return Gather();
  }
  // A read, or the wait for its memory, is waited for when it brings something, or may: it ends by itself,
  // and then answers.
  if (watch_ || (memory_wait_ != 0 && read_once_ && !something_there_)) Answer();
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

  hold_.Resize(delivery_->size_bytes());
  auto unread = context_->memory->HandOver(std::move(hold_), weak_from_this());
  std::string frame = EncodeFrame(plan_, *delivery_);
  response_ = delivery_->stored_batches()
                  ? ToByteBuffer(std::move(frame), delivery_->TakeBatches(), std::move(unread))
                  : ToByteBuffer(std::move(frame), delivery_->TakeRecords(), std::move(unread));
  Finish(grpc::Status::OK);
}

void FetchCall::Fail(const absl::Status& status) {
  if (!ClaimAnswer()) return;
  hold_.Release();
  // Before there is a plan, errors are about the request.
  const absl::Status told =
      plan_.topic == nullptr
          ? status
          : cluster::LogStatusForClient(*context_->catalog.Current(), *plan_.topic, plan_.partition, status);
  context_->counters.errors.Count(told);
  Finish(ToGrpcStatus(told, grpc_));
}

bool FetchCall::ClaimAnswer() {
  if (std::exchange(answered_, true)) return false;
  context_->executor.Cancel(wait_timer_);
  if (memory_wait_ != 0) context_->memory->gate().CancelWait(memory_wait_);
  if (watch_) context_->store.CancelWatch(*watch_);
  watch_.reset();
  return true;
}

void FetchCall::CutOff() {
  absl::MutexLock lock(&mutex_);
  if (is_done_) return;
  context_->counters.stalled.fetch_add(1, std::memory_order_relaxed);
  grpc_.TryCancel();
}

void FetchCall::OnCancel() {
  strand_.Run([self = shared_from_this()] {
    if (!self->ClaimAnswer()) return;
    if (!self->reading_) self->hold_.Release();
    self->Finish(grpc::Status::CANCELLED);
  });
}

void FetchCall::OnDone() {
  {
    absl::MutexLock lock(&mutex_);
    is_done_ = true;
  }
  context_->counters.fetches_open.fetch_sub(1, std::memory_order_relaxed);
  if (done_) done_();
  self_.reset();
}

}  // namespace naru::services
