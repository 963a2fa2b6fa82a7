#include "clients/cpp/consumer.h"

#include "naru/v1/consume.grpc.pb.h"
#include "storage/base/status.h"

namespace naru::client {

absl::StatusOr<naru::v1::FetchResponse> Consumer::Fetch(const naru::v1::FetchRequest& request) {
  naru::v1::FetchResponse response;
  const absl::Duration timeout = client_->options().call_timeout + absl::Milliseconds(request.max_wait_ms());
  NARU_RETURN_IF_ERROR(
      client_->Call(CallKind::kRead, timeout,
                    [&](const std::shared_ptr<grpc::Channel>& channel, grpc::ClientContext* context) {
                      return naru::v1::ConsumeService::NewStub(channel)->Fetch(context, request, &response);
                    }));
  return response;
}

absl::StatusOr<naru::v1::ListOffsetsResponse> Consumer::ListOffsets(
    const naru::v1::ListOffsetsRequest& request) {
  naru::v1::ListOffsetsResponse response;
  NARU_RETURN_IF_ERROR(client_->Call(
      CallKind::kRead, [&](const std::shared_ptr<grpc::Channel>& channel, grpc::ClientContext* context) {
        return naru::v1::ConsumeService::NewStub(channel)->ListOffsets(context, request, &response);
      }));
  return response;
}

}  // namespace naru::client
