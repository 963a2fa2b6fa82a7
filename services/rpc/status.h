// From the store's and the cluster's errors to what a client sees. Pure, thread-safe.
#pragma once

#include <grpcpp/grpcpp.h>

#include "absl/status/status.h"
#include "naru/v1/types.pb.h"

namespace naru::services {

// The gRPC status: canonical code, message, google.rpc.ErrorInfo (domain "naru") and RetryInfo (UNAVAILABLE
// and RESOURCE_EXHAUSTED) as grpc-status-details-bin; adds the trailer `naru-reason`. Trailers stay under
// 4 KiB: a message is cut at 1 KiB, percent-encoded as it travels; metadata that would pass the bound is left
// out; bytes that are not UTF-8 become "?". A status that MakeError did not make becomes INTERNAL.
grpc::Status ToGrpcStatus(const absl::Status& status, grpc::ServerContextBase& context);

// The same as a message inside an answer.
naru::v1::Error ToError(const absl::Status& status);

}  // namespace naru::services
