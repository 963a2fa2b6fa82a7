// Errors between brokers and coordinators on gRPC: the canonical code and message, with an Error message
// (reason, metadata) in the status's details. Pure, thread-safe.
#pragma once

#include <grpcpp/grpcpp.h>

#include "absl/status/status.h"

namespace naru::cluster {

grpc::Status ToInternalStatus(const absl::Status& status);
// Without an Error in the details it is the transport's: the canonical code, and no reason.
absl::Status FromGrpcStatus(const grpc::Status& status);

}  // namespace naru::cluster
