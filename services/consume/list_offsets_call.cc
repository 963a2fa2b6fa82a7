#include "services/consume/list_offsets_call.h"

#include <utility>

#include "services/rpc/byte_buffer.h"
#include "services/rpc/parse_message.h"
#include "services/rpc/status.h"
#include "storage/base/status.h"

namespace naru::services {
namespace {

// Look-ups by time that one call has with the store at a time.
constexpr int kUnderWayMax = 16;

}  // namespace

std::shared_ptr<ListOffsetsCall> ListOffsetsCall::Make(std::shared_ptr<ConsumeContext> context,
                                                       grpc::CallbackServerContext& grpc,
                                                       grpc::ByteBuffer& response) {
  const std::shared_ptr<ListOffsetsCall> call(new ListOffsetsCall(std::move(context), grpc, response));
  call->self_ = call;
  return call;
}

void ListOffsetsCall::Start(const grpc::ByteBuffer& request) {
  context_->counters.list_calls.fetch_add(1, std::memory_order_relaxed);
  strand_.Run([self = shared_from_this(), request] {
    const absl::Status status = self->Begin(request);
    if (!status.ok()) return self->Fail(status);
    self->Pump();
  });
}

absl::Status ListOffsetsCall::Begin(const grpc::ByteBuffer& buffer) {
  NARU_RETURN_IF_ERROR(context_->CheckOpen());
  naru::v1::ListOffsetsRequest request;
  NARU_RETURN_IF_ERROR(ParseMessage(buffer, request));
  NARU_ASSIGN_OR_RETURN(plan_, PlanListOffsets(request, *context_->catalog.Current()));
  for (const int32_t partition : plan_.partitions) answer_.add_offsets()->set_partition(partition);
  return absl::OkStatus();
}

void ListOffsetsCall::Pump() {
  while (!answered_ && begun_ < answer_.offsets_size() && under_way_ < kUnderWayMax) {
    ++under_way_;
    LookUp(begun_++);
  }
  if (answered_ || under_way_ > 0) return;
  answered_ = true;
  response_ = ToByteBuffer(answer_.SerializeAsString(), std::string(), nullptr);
  Finish(grpc::Status::OK);
}

void ListOffsetsCall::LookUp(int index) {
  const absl::StatusOr<const cluster::PartitionPlacement*> placement =
      FindPartition(*plan_.topic, answer_.offsets(index).partition());
  if (!placement.ok()) {
    --under_way_;
    return SetError(index, placement.status());
  }
  if (plan_.target.kind != StartPoint::Kind::kTime) return OnFound(index, std::optional<TimedOffset>());
  context_->store.FindByTime((*placement)->log, plan_.target.timestamp_ms,
                             [self = shared_from_this(), index](auto found) {
                               self->strand_.Post([self, index, found = std::move(found)] {
                                 self->OnFound(index, found);
                                 self->Pump();
                               });
                             });
}

void ListOffsetsCall::OnFound(int index, const absl::StatusOr<std::optional<TimedOffset>>& found) {
  if (!found.ok()) return OnInfo(index, {}, found.status());
  const int32_t partition = answer_.offsets(index).partition();
  const LogId log = plan_.topic->partitions[static_cast<size_t>(partition)].log;
  const absl::StatusOr<LogInfo> info = context_->store.Info(log);
  if (ReasonOf(info.status()) != Reason::kNoLeader) return OnInfo(index, *found, info);
  // Another broker has it.
  context_->store.AskInfo(log,
                          [self = shared_from_this(), index, found = *found](absl::StatusOr<LogInfo> asked) {
                            self->strand_.Post([self, index, found, asked = std::move(asked)] {
                              self->OnInfo(index, found, asked);
                              self->Pump();
                            });
                          });
}

void ListOffsetsCall::OnInfo(int index, const std::optional<TimedOffset>& found,
                             const absl::StatusOr<LogInfo>& info) {
  --under_way_;
  naru::v1::PartitionOffset& offset = *answer_.mutable_offsets(index);
  if (!info.ok()) {
    return SetError(index, cluster::LogStatusForClient(*context_->catalog.Current(), *plan_.topic,
                                                       offset.partition(), info.status()));
  }
  offset.set_log_start_offset(info->log_start.value());
  offset.set_high_watermark(info->readable_end.value());
  if (plan_.target.kind == StartPoint::Kind::kEarliest) {
    offset.set_offset(info->log_start.value());
  } else if (found) {
    offset.set_offset(found->offset.value());
    offset.set_timestamp_ms(found->timestamp_ms);
  } else {
    offset.set_offset(info->readable_end.value());
  }
}

void ListOffsetsCall::SetError(int index, const absl::Status& status) {
  context_->counters.errors.Count(status);
  *answer_.mutable_offsets(index)->mutable_error() = ToError(status);
}

void ListOffsetsCall::Fail(const absl::Status& status) {
  if (std::exchange(answered_, true)) return;
  context_->counters.errors.Count(status);
  Finish(ToGrpcStatus(status, grpc_));
}

void ListOffsetsCall::OnCancel() {
  strand_.Run([self = shared_from_this()] {
    if (!std::exchange(self->answered_, true)) self->Finish(grpc::Status::CANCELLED);
  });
}

}  // namespace naru::services
