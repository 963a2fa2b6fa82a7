#include "clients/cpp/produce_stream.h"

#include <grpcpp/generic/generic_stub.h>

#include <utility>

#include "clients/cpp/errors.h"

namespace naru::client {

std::shared_ptr<ProduceStream> ProduceStream::Start(const std::shared_ptr<grpc::Channel>& channel,
                                                    int64_t serial, Events events) {
  std::shared_ptr<ProduceStream> stream(new ProduceStream(serial, std::move(events)));
  stream->self_ = stream;
  grpc::TemplatedGenericStub<grpc::ByteBuffer, naru::v1::ProduceStreamResponse> stub(channel);
  stub.PrepareBidiStreamingCall(&stream->context_, "/naru.v1.ProduceService/ProduceStream", {}, stream.get());
  // Writes begin outside of reactions, so the call must not end between them.
  stream->AddHold();
  stream->StartRead(&stream->response_);
  stream->StartCall();
  return stream;
}

bool ProduceStream::Write(const grpc::ByteBuffer& item) {
  absl::MutexLock lock(&mutex_);
  if (over_) return false;
  item_ = item;
  StartWrite(&item_);
  return true;
}

void ProduceStream::WritesDone() {
  absl::MutexLock lock(&mutex_);
  if (!over_) StartWritesDone();
}

void ProduceStream::Cancel() { context_.TryCancel(); }

void ProduceStream::OnReadDone(bool ok) {
  if (!ok) {
    {
      absl::MutexLock lock(&mutex_);
      over_ = true;
    }
    RemoveHold();
    return;
  }
  events_.answered(std::move(response_));
  response_.Clear();
  StartRead(&response_);
}

void ProduceStream::OnWriteDone(bool ok) {
  if (ok) events_.written();
}

void ProduceStream::OnDone(const grpc::Status& status) {
  // As soon as `ended` has the stream it may be destroyed, so nothing of it is used from here on.
  auto ended = std::move(events_.ended);
  absl::Status result = FromGrpcStatus(status, context_);
  ended(std::move(self_), std::move(result));
}

}  // namespace naru::client
