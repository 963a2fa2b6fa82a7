// Single reads: ConsumeService's unary calls with the client's deadline and repeats. For records as they
// come, see Subscription. Requests, defaults and errors are those of proto/naru/v1/consume.proto.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "clients/cpp/client.h"
#include "naru/v1/consume.pb.h"

namespace naru::client {

// Thread-safe; every method blocks for a call.
class Consumer {
 public:
  explicit Consumer(std::shared_ptr<Client> client) : client_(std::move(client)) {}

  // Waits at most max_wait_ms for records; the call's deadline is that much later than the client's
  // call_timeout.
  absl::StatusOr<naru::v1::FetchResponse> Fetch(const naru::v1::FetchRequest& request);
  // A partition that could not be answered has its `error` set.
  absl::StatusOr<naru::v1::ListOffsetsResponse> ListOffsets(const naru::v1::ListOffsetsRequest& request);

 private:
  const std::shared_ptr<Client> client_;
};

}  // namespace naru::client
