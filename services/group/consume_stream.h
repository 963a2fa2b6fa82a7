// One Consume on gRPC: a thin shell around a member's session. Owns itself until gRPC is done with it.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "naru/v1/group.pb.h"
#include "services/consume/consume_memory.h"
#include "services/group/session_host.h"

namespace naru::services {

class ConsumeStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                            public SessionHost,
                            public ConsumeMemory::Reader {
 public:
  // `grpc` is gRPC's and lives until OnDone.
  static std::shared_ptr<ConsumeStream> Make(std::shared_ptr<GroupContext> context,
                                             grpc::CallbackServerContext& grpc);
  // Called once, when gRPC is done with the stream. Set before Start.
  void SetDone(absl::AnyInvocable<void()> done) { done_ = std::move(done); }
  void Start();

  // The client does not read: ends the stream. Any thread.
  void CutOff() override;
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  ConsumeStream(std::shared_ptr<GroupContext> context, grpc::CallbackServerContext& grpc)
      : SessionHost(std::move(context)), grpc_(grpc) {}

  std::shared_ptr<ConsumeStream> Self() {
    return std::static_pointer_cast<ConsumeStream>(shared_from_this());
  }

  // All of these in the strand.
  void OnRequest();
  absl::Status Do(const naru::v1::ConsumeRequest& request);
  void AfterEvent() override;
  void Tell(const naru::v1::ConsumeResponse& response) override;
  void Deliver(OutgoingMessage message) override;
  void Finish(const absl::Status& status) override;

  grpc::CallbackServerContext& grpc_;
  grpc::ByteBuffer request_;   // gRPC's while a read is out
  grpc::ByteBuffer response_;  // gRPC's while a write is out
  absl::AnyInvocable<void()> done_;
  bool join_seen_ = false;
  bool read_paused_ = false;
  std::shared_ptr<ConsumeStream> self_;
};

}  // namespace naru::services
