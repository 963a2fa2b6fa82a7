#include "services/group/consume_stream.h"

#include <string>

#include "services/rpc/byte_buffer.h"
#include "services/rpc/parse_message.h"
#include "services/rpc/status.h"
#include "storage/base/status.h"

namespace naru::services {

std::shared_ptr<ConsumeStream> ConsumeStream::Make(std::shared_ptr<GroupContext> context,
                                                   grpc::CallbackServerContext& grpc) {
  const std::shared_ptr<ConsumeStream> stream(new ConsumeStream(std::move(context), grpc));
  stream->self_ = stream;
  stream->Attach();
  stream->context().counters.streams.fetch_add(1, std::memory_order_relaxed);
  stream->context().counters.streams_open.fetch_add(1, std::memory_order_relaxed);
  return stream;
}

void ConsumeStream::Start() {
  strand().Run([self = Self()] {
    if (!self->session().finished()) self->StartRead(&self->request_);
  });
}

void ConsumeStream::OnReadDone(bool ok) {
  strand().Run([self = Self(), ok] {
    if (self->session().finished()) return;
    if (!ok) return self->session().OnHalfClose();
    self->OnRequest();
  });
}

void ConsumeStream::OnRequest() {
  naru::v1::ConsumeRequest request;
  absl::Status status = ParseMessage(request_, request);
  if (status.ok()) status = Do(request);
  if (!status.ok()) session().End(std::move(status));
  if (session().finished()) return;
  read_paused_ = true;
  AfterEvent();
}

absl::Status ConsumeStream::Do(const naru::v1::ConsumeRequest& request) {
  using naru::v1::ConsumeRequest;
  if (request.request_case() == ConsumeRequest::kJoin) {
    if (std::exchange(join_seen_, true)) {
      return InvalidField("join", "a second one", "a stream joins once");
    }
    return SessionHost::Join(request.join(), MemberKind::kStream, grpc_.peer());
  }
  if (!join_seen_) return InvalidField("request", "something before join", "send join first");
  switch (request.request_case()) {
    case ConsumeRequest::kAck:
      context().counters.acks.fetch_add(1, std::memory_order_relaxed);
      session().Ack("ack.delivery_id", request.ack().delivery_id());
      break;
    case ConsumeRequest::kCommit:
      session().Commit(request.commit());
      break;
    case ConsumeRequest::kProgress:
      session().Progress();
      break;
    default:
      return InvalidField("request", "an absent one", "send join first, then ack, commit or progress");
  }
  return absl::OkStatus();
}

void ConsumeStream::AfterEvent() {
  if (session().finished() || !read_paused_ || !session().accepts_requests()) return;
  read_paused_ = false;
  StartRead(&request_);
}

void ConsumeStream::OnWriteDone(bool ok) {
  strand().Run([self = Self(), ok] {
    // Else the message would stay in memory until the next one.
    self->response_.Clear();
    if (self->session().finished()) return;
    self->session().OnWritten(ok);
    self->AfterEvent();
  });
}

void ConsumeStream::OnCancel() {
  strand().Run([self = Self()] {
    if (!self->session().finished()) self->session().End(absl::CancelledError("the call was cancelled"));
  });
}

void ConsumeStream::CutOff() {
  strand().Post([self = Self()] {
    if (self->session().finished()) return;
    self->context().counters.stalled.fetch_add(1, std::memory_order_relaxed);
    // Not finished, so gRPC's context is there. The write fails, and with it the stream ends.
    self->grpc_.TryCancel();
  });
}

void ConsumeStream::Tell(const naru::v1::ConsumeResponse& response) {
  response_ = ToByteBuffer(response.SerializeAsString(), std::string(), nullptr);
  StartWrite(&response_);
}

void ConsumeStream::Deliver(OutgoingMessage message) {
  GroupServiceCounters& counters = context().counters;
  counters.deliveries.fetch_add(1, std::memory_order_relaxed);
  counters.records.fetch_add(message.record_count, std::memory_order_relaxed);
  counters.bytes.fetch_add(message.size_bytes(), std::memory_order_relaxed);
  auto unread = consume().memory->HandOver(std::move(message.hold), Self());
  response_ = message.batches.empty()
                  ? ToByteBuffer(std::move(message.head), std::move(message.records), std::move(unread))
                  : ToByteBuffer(std::move(message.head), message.batches, std::move(unread));
  StartWrite(&response_);
}

void ConsumeStream::Finish(const absl::Status& status) {
  Close();
  response_.Clear();
  if (absl::IsCancelled(status)) return ServerBidiReactor::Finish(grpc::Status::CANCELLED);
  context().counters.errors.Count(status);
  ServerBidiReactor::Finish(status.ok() ? grpc::Status::OK : ToGrpcStatus(status, grpc_));
}

void ConsumeStream::OnDone() {
  context().counters.streams_open.fetch_sub(1, std::memory_order_relaxed);
  // Only now it is known whether the client saw the end.
  const bool gone = grpc_.IsCancelled();
  strand().Post([self = Self(), gone] { self->EndMembership(gone); });
  if (done_) done_();
  self_.reset();
}

}  // namespace naru::services
