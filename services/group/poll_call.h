// One Poll on gRPC, from its request to its answer. Owns itself until gRPC is done with it. What it answers
// is its member's affair.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "naru/v1/group.pb.h"
#include "services/group/group_context.h"

namespace naru::services {

class PollCall final : public grpc::ServerUnaryReactor, public std::enable_shared_from_this<PollCall> {
 public:
  // `grpc` and `response` are gRPC's and live until OnDone.
  static std::shared_ptr<PollCall> Make(std::shared_ptr<GroupContext> context,
                                        grpc::CallbackServerContext& grpc, grpc::ByteBuffer& response);
  // Hands it to its member, or answers with what is wrong with it.
  void Start(const grpc::ByteBuffer& request);

  const naru::v1::PollRequest& request() const { return request_; }
  std::string peer() const { return peer_; }
  // From now on.
  std::chrono::nanoseconds wait() const { return wait_; }
  int64_t bytes_max() const { return bytes_max_; }

  // True for the first: whoever claims the call ends it. False: it was ended, by its client or otherwise.
  bool Claim();
  // Of a call that was claimed by who answers.
  void Answer(const grpc::ByteBuffer& answer);
  // Unless somebody has claimed it.
  void Fail(const absl::Status& status);

  void OnCancel() override;
  void OnDone() override;

 private:
  PollCall(std::shared_ptr<GroupContext> context, grpc::CallbackServerContext& grpc,
           grpc::ByteBuffer& response)
      : context_(std::move(context)), grpc_(grpc), response_(response), peer_(grpc.peer()) {}

  absl::Status Read(const grpc::ByteBuffer& request);

  const std::shared_ptr<GroupContext> context_;
  grpc::CallbackServerContext& grpc_;
  grpc::ByteBuffer& response_;
  const std::string peer_;
  naru::v1::PollRequest request_;
  std::chrono::nanoseconds wait_{0};
  int64_t bytes_max_ = 0;
  absl::Mutex mutex_;
  bool claimed_ ABSL_GUARDED_BY(mutex_) = false;
  bool answered_well_ ABSL_GUARDED_BY(mutex_) = false;
  std::weak_ptr<PollMember> member_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<PollCall> self_;
};

}  // namespace naru::services
