// One ProduceStream call, driven by events: items go out as ready-made bytes, answers and the end come back
// on gRPC's threads.
#pragma once

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/client_callback.h>

#include <cstdint>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "naru/v1/produce.grpc.pb.h"

namespace naru::client {

// Keeps itself alive from Start until `ended`, which hands it over. Whoever takes it there destroys it on a
// thread of their own: with the stream the channel may go, and gRPC joins its callback threads when the last
// channel goes, which must not happen on one of them.
class ProduceStream : public grpc::ClientBidiReactor<grpc::ByteBuffer, naru::v1::ProduceStreamResponse>,
                      public std::enable_shared_from_this<ProduceStream> {
 public:
  // Called on gRPC's threads, one at a time for `answered` and `ended`, must not block. `written`: gRPC took
  // the item, the next may be written. `ended`: once, last; nothing was answered after it.
  struct Events {
    absl::AnyInvocable<void(naru::v1::ProduceStreamResponse)> answered;
    absl::AnyInvocable<void()> written;
    absl::AnyInvocable<void(std::shared_ptr<ProduceStream>, absl::Status)> ended;
  };

  // `serial`: the owner's number for it.
  static std::shared_ptr<ProduceStream> Start(const std::shared_ptr<grpc::Channel>& channel, int64_t serial,
                                              Events events);

  int64_t serial() const { return serial_; }

  // Sends one item; after it waits for `written`. False: the stream is over, `ended` comes or came.
  bool Write(const grpc::ByteBuffer& item);
  // No more items; the broker answers what it has and ends the stream. Only when no Write waits.
  void WritesDone();
  // Ends the stream without waiting for answers.
  void Cancel();

 private:
  ProduceStream(int64_t serial, Events events) : serial_(serial), events_(std::move(events)) {}

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

  const int64_t serial_;
  Events events_;
  grpc::ClientContext context_;
  naru::v1::ProduceStreamResponse response_;
  grpc::ByteBuffer item_;
  std::shared_ptr<ProduceStream> self_;
  absl::Mutex mutex_;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace naru::client
