#include "services/produce/produce_stream.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/rpc/byte_buffer.h"
#include "services/rpc/status.h"
#include "storage/base/status.h"

namespace naru::services {
namespace {

absl::Status SkippedError(std::string_view topic, PartitionId partition) {
  return MakeError(
      Reason::kStreamItemSkipped,
      absl::StrCat("an earlier item of this stream failed for partition ", partition.value(), " of topic \"",
                   std::string(topic), "\"; this one was not tried, send Resume to go on"));
}

// The refusal of an item that is not to be tried anywhere, else OK.
absl::Status SharedRefusal(const std::vector<PartPlace>& places) {
  for (const PartPlace& place : places) {
    if (place.refusal.ok()) return absl::OkStatus();
  }
  return places.front().refusal;
}

// A message counts as this much at least, before it comes.
constexpr int64_t kMessageBytesMin = int64_t{16} << 10;

// Of a stream that nothing is known of: as large as may be, and still many of them at a time.
int64_t FirstMessageBytes(const ProduceOptions& options) {
  return std::max(kMessageBytesMin, std::min(options.batch_bytes_max, options.reading_bytes_max / 16));
}

}  // namespace

std::shared_ptr<ProduceStream> ProduceStream::Make(std::shared_ptr<ProduceContext> context,
                                                   grpc::CallbackServerContext& grpc) {
  const std::shared_ptr<ProduceStream> stream(new ProduceStream(std::move(context), grpc));
  stream->self_ = stream;
  return stream;
}

ProduceStream::ProduceStream(std::shared_ptr<ProduceContext> context, grpc::CallbackServerContext& grpc)
    : context_(std::move(context)),
      grpc_(grpc),
      session_(context_->options),
      expected_bytes_(FirstMessageBytes(context_->options)) {
  context_->counters.streams.fetch_add(1, std::memory_order_relaxed);
  context_->counters.streams_open.fetch_add(1, std::memory_order_relaxed);
}

void ProduceStream::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    session_.End(context_->CheckOpen());
  }
  Pump();
}

void ProduceStream::OnReadDone(bool ok) {
  const auto bytes = static_cast<int64_t>(ok ? message_.Length() : 0);
  bool handle = false;
  MemoryGate::Hold read;
  {
    absl::MutexLock lock(&mutex_);
    if (ok) {
      handle = session_.OnMessage();
      expected_bytes_ = std::max({kMessageBytesMin, bytes, expected_bytes_ / 2});
      read = context_->reads->Use(std::exchange(ticket_, 0), bytes);
    } else {
      session_.OnReadsEnd();
      context_->reads->GiveUp(std::exchange(ticket_, 0));
    }
  }
  if (!handle) return Pump();
  const absl::Cord message = ToCord(message_);
  message_.Clear();
  std::optional<Item> item = ReadItem(message);
  if (!item) {
    read.Release();
    return OnHandled();
  }
  if (TakeMemory({*std::move(item), std::move(read)})) OnHandled();
}

std::optional<ProduceStream::Item> ProduceStream::ReadItem(const absl::Cord& message) {
  absl::StatusOr<RawStreamRequest> stream_request = ParseStreamRequest(message);
  absl::StatusOr<RawProduceRequest> request = RawProduceRequest();
  if (stream_request.ok() && stream_request->produce) request = ParseProduceRequest(*stream_request->produce);
  absl::MutexLock lock(&mutex_);
  if (!stream_request.ok() || !request.ok()) {
    // Which partition was meant is not known, so nothing after it may be appended.
    const absl::Status& status = stream_request.ok() ? request.status() : stream_request.status();
    context_->counters.errors.Count(status);
    session_.End(status);
    return std::nullopt;
  }
  if (stream_request->resume) {
    const naru::v1::Resume& resume = *stream_request->resume;
    session_.order().Resume(resume.topic(),
                            {resume.partitions().data(), static_cast<size_t>(resume.partitions_size())});
    CheckFailedPartitions();
    session_.Answer(stream_request->id, absl::OkStatus(), {});
    return std::nullopt;
  }
  if (!stream_request->produce) {
    session_.Answer(stream_request->id,
                    InvalidField("request", "an absent one", "an item has produce or resume"), {});
    return std::nullopt;
  }
  context_->counters.stream_items.fetch_add(1, std::memory_order_relaxed);
  Item item{.id = stream_request->id,
            .bytes = static_cast<int64_t>(message.size()),
            .begun_ns = context_->clock.MonotonicNs(),
            .request = *std::move(request)};
  if (!item.request.partition) return item;
  item.partition = PartitionId(*item.request.partition);
  if (!session_.order().IsFailed(item.request.topic, *item.partition)) return item;
  FailItem(item, SkippedError(item.request.topic, *item.partition));
  return std::nullopt;
}

bool ProduceStream::TakeMemory(ItemInHand in_hand) {
  const auto shared = std::make_shared<ItemInHand>(std::move(in_hand));
  MemoryGate::Hold hold;
  {
    absl::MutexLock lock(&mutex_);
    if (session_.ended()) return true;
    const bool taken = context_->memory.TakeOrWait(
        shared->item.bytes, hold, memory_wait_,
        // Called by whoever gave memory back, which is not a thread to work on.
        [self = shared_from_this(), shared](MemoryGate::Hold granted) {
          self->context_->executor.Run([self, shared, granted = std::move(granted)]() mutable {
            shared->read.Release();
            self->HandleItem(std::move(shared->item), std::move(granted));
            self->OnHandled();
          });
        });
    if (!taken) {
      FailItem(shared->item,
               MakeError(Reason::kTooManyInFlight,
                         "the memory for requests that wait for the store is used up; try again"));
      return true;
    }
    if (memory_wait_ != 0) return false;
  }
  shared->read.Release();
  HandleItem(std::move(shared->item), std::move(hold));
  return true;
}

void ProduceStream::HandleItem(Item item, MemoryGate::Hold hold) {
  const absl::Status status = TryAppend(item, std::move(hold));
  if (status.ok()) return;
  absl::MutexLock lock(&mutex_);
  FailItem(item, status);
}

absl::Status ProduceStream::TryAppend(Item& item, MemoryGate::Hold hold) {
  NARU_RETURN_IF_ERROR(context_->CheckOpen());
  const std::shared_ptr<const cluster::TopicCatalog> catalog = context_->catalog.Current();
  NARU_ASSIGN_OR_RETURN(const ProduceTarget target, FindTarget(item.request, *catalog));
  item.partition = target.partition;
  NARU_ASSIGN_OR_RETURN(std::vector<ProducePart> parts,
                        PlanParts(target, item.request.batch, *catalog, context_->options, context_->turns));
  item.request.batch.Clear();
  hold.Resize(hold.bytes() + BookkeepingBytes(parts));
  item.bytes = hold.bytes();
  std::vector<PartPlace> places;
  {
    absl::MutexLock lock(&mutex_);
    if (session_.ended()) return absl::OkStatus();
    places = Admit(item.request.topic, parts);
    session_.OnAccepted(item.bytes);
    if (!target.wants_ack) session_.Answer(item.id, SharedRefusal(places), {});
  }
  context_->counters.inflight.fetch_add(1, std::memory_order_relaxed);
  std::vector<PartPlace> handed_over = places;
  AppendParts(
      context_->store, context_->catalog, target, std::move(parts), std::move(handed_over), std::move(hold),
      [self = shared_from_this(), item, places = std::move(places), answer = target.wants_ack](
          const std::vector<PartOutcome>& outcomes) { self->OnAppended(item, places, answer, outcomes); });
  return absl::OkStatus();
}

std::vector<PartPlace> ProduceStream::Admit(const std::string& topic, const std::vector<ProducePart>& parts) {
  std::vector<PartPlace> places(parts.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    std::optional<StreamOrder::Ticket> ticket = session_.order().Admit(topic, parts[i].partition);
    if (ticket) {
      places[i].fence = std::move(ticket->fence);
      places[i].order = ticket->order;
    } else {
      places[i].refusal = SkippedError(topic, parts[i].partition);
    }
  }
  return places;
}

void ProduceStream::OnAppended(const Item& item, const std::vector<PartPlace>& places, bool answer,
                               const std::vector<PartOutcome>& outcomes) {
  context_->counters.inflight.fetch_sub(1, std::memory_order_relaxed);
  context_->CountOutcomes(outcomes, item.begun_ns);
  {
    absl::MutexLock lock(&mutex_);
    for (size_t i = 0; i < places.size(); ++i) {
      if (places[i].fence == nullptr) continue;
      session_.order().Done(item.request.topic, outcomes[i].partition, {places[i].fence, places[i].order},
                            !outcomes[i].appended.ok());
    }
    CheckFailedPartitions();
    session_.OnCompleted(item.bytes);
    if (answer) session_.Answer(item.id, SharedFailure(outcomes), outcomes);
  }
  Pump();
}

void ProduceStream::FailItem(const Item& item, const absl::Status& status) {
  context_->counters.errors.Count(status);
  const std::string& topic = item.request.topic;
  // A name that no topic can have leaves nothing to keep in order.
  if (cluster::ValidateTopicName("topic", topic).ok()) {
    if (item.partition) {
      session_.order().Fail(topic, *item.partition);
    } else {
      session_.order().FailTopic(topic);
    }
    CheckFailedPartitions();
  }
  session_.Answer(item.id, status, {});
}

void ProduceStream::CheckFailedPartitions() {
  const int64_t max = context_->options.stream_failed_partitions_max;
  if (session_.order().failed_count() <= max) return;
  session_.End(
      MakeError(Reason::kTooManyInFlight,
                absl::StrCat("more than ", max, " partitions of this stream failed and were not resumed"),
                {{"limit", absl::StrCat(max)}}));
}

void ProduceStream::OnHandled() {
  {
    absl::MutexLock lock(&mutex_);
    session_.OnHandled();
  }
  Pump();
}

void ProduceStream::OnWriteDone(bool ok) {
  answers_.Clear();
  {
    absl::MutexLock lock(&mutex_);
    session_.OnWritten(ok);
  }
  Pump();
}

void ProduceStream::OnCancel() {
  MemoryGate::WaitId wait = 0;
  {
    absl::MutexLock lock(&mutex_);
    session_.OnCancel();
    wait = memory_wait_;
  }
  if (wait != 0) context_->memory.CancelWait(wait);
  Pump();
}

void ProduceStream::OnDone() {
  {
    absl::MutexLock lock(&mutex_);
    context_->reads->GiveUp(std::exchange(ticket_, 0));
  }
  context_->counters.streams_open.fetch_sub(1, std::memory_order_relaxed);
  if (done_) done_();
  self_.reset();
}

void ProduceStream::AskToRead() {
  absl::MutexLock lock(&mutex_);
  const bool granted = context_->reads->Ask(expected_bytes_, ticket_, [self = shared_from_this()] {
    {
      absl::MutexLock self_lock(&self->mutex_);
      self->session_.OnMayRead();
    }
    self->Pump();
  });
  if (granted) session_.OnMayRead();
}

void ProduceStream::Pump() {
  const std::shared_ptr<ProduceStream> self = shared_from_this();
  while (true) {
    ProduceSession::Step step;
    {
      absl::MutexLock lock(&mutex_);
      if (performing_) return;
      step = session_.Next();
      if (step.what == ProduceSession::Do::kNone) return;
      performing_ = true;
    }
    Perform(std::move(step));
    absl::MutexLock lock(&mutex_);
    performing_ = false;
  }
}

void ProduceStream::Perform(ProduceSession::Step step) {
  switch (step.what) {
    case ProduceSession::Do::kNone:
      break;
    case ProduceSession::Do::kAsk:
      AskToRead();
      break;
    case ProduceSession::Do::kRead:
      StartRead(&message_);
      break;
    case ProduceSession::Do::kWrite:
      answers_ = ToByteBuffer(std::move(step.answers), std::string(), nullptr);
      StartWrite(&answers_);
      break;
    case ProduceSession::Do::kFinish:
      if (step.status.ok()) {
        Finish(grpc::Status::OK);
      } else if (absl::IsCancelled(step.status)) {
        Finish(grpc::Status::CANCELLED);
      } else {
        Finish(ToGrpcStatus(step.status, grpc_));
      }
      break;
  }
}

}  // namespace naru::services
