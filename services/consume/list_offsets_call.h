// One ListOffsets: looks up one offset per partition. Made by the service for each call; owns itself until
// gRPC is done with it. Everything happens in its strand.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>

#include "naru/v1/consume.pb.h"
#include "services/consume/consume_context.h"
#include "services/consume/list_offsets_plan.h"
#include "services/rpc/strand.h"

namespace naru::services {

class ListOffsetsCall final : public grpc::ServerUnaryReactor,
                              public std::enable_shared_from_this<ListOffsetsCall> {
 public:
  // `grpc` and `response` are gRPC's and live until OnDone.
  static std::shared_ptr<ListOffsetsCall> Make(std::shared_ptr<ConsumeContext> context,
                                               grpc::CallbackServerContext& grpc, grpc::ByteBuffer& response);
  void Start(const grpc::ByteBuffer& request);

  void OnCancel() override;
  void OnDone() override { self_.reset(); }

 private:
  ListOffsetsCall(std::shared_ptr<ConsumeContext> context, grpc::CallbackServerContext& grpc,
                  grpc::ByteBuffer& response)
      : context_(std::move(context)), grpc_(grpc), response_(response), strand_(context_->executor) {}

  // All of these in the strand.
  absl::Status Begin(const grpc::ByteBuffer& request);
  // Begins look-ups up to a bound, and answers when there are no more.
  void Pump();
  void LookUp(int index);
  void OnFound(int index, const absl::StatusOr<std::optional<TimedOffset>>& found);
  void OnInfo(int index, const std::optional<TimedOffset>& found, const absl::StatusOr<LogInfo>& info);
  void SetError(int index, const absl::Status& status);
  void Fail(const absl::Status& status);

  const std::shared_ptr<ConsumeContext> context_;
  grpc::CallbackServerContext& grpc_;
  grpc::ByteBuffer& response_;
  Strand strand_;

  ListOffsetsPlan plan_;
  naru::v1::ListOffsetsResponse answer_;  // partitions set from the beginning
  int begun_ = 0;
  int under_way_ = 0;
  bool answered_ = false;
  std::shared_ptr<ListOffsetsCall> self_;
};

}  // namespace naru::services
