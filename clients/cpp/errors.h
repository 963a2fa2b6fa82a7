// From what a broker answers back to absl::Status with a Reason (storage/base/status.h), and what the reasons
// mean for somebody who wants to try again. Pure, thread-safe.
#pragma once

#include <grpcpp/grpcpp.h>

#include "absl/status/status.h"
#include "naru/v1/types.pb.h"
#include "storage/base/status.h"

namespace naru::client {

// The status of a finished call. The reason and its metadata come from google.rpc.ErrorInfo in
// `grpc-status-details-bin`, or where that is absent from the trailer `naru-reason`, without metadata. A
// reason that this program does not know leaves a status with the code and message alone.
absl::Status FromGrpcStatus(const grpc::Status& status, const grpc::ClientContext& context);

// The status of an error inside an answer. `error` is set.
absl::Status FromError(const naru::v1::Error& error);

// The broker said that it did nothing, and that the same request may succeed later: NO_LEADER,
// COORDINATOR_LOADING, NOT_ENOUGH_REPLICAS, STORAGE_FULL, SHUTTING_DOWN, TOO_MANY_IN_FLIGHT,
// STALE_LEADER_EPOCH, STREAM_ITEM_SKIPPED. Whatever such a request does, it can be repeated without doing it
// twice.
bool IsTransient(const absl::Status& status);

// Nobody knows whether a failed write was done: the connection broke, the deadline passed, the call was
// cancelled, LEADER_CHANGED, INTERNAL. Repeating the write may do it twice; giving up may leave it undone.
// False for OK.
bool IsOutcomeUnknown(const absl::Status& status);

// A stream ended because the broker could not take a message of it, which one it did not say: gRPC refused a
// message above the receive limit, or something on the way did. Sending all of them again ends the next
// stream too.
bool IsMessageRefused(const absl::Status& status);

// A read that failed so is worth another try: IsTransient, or the connection broke, or the other side
// cancelled. Not for calls that this side cancelled.
bool IsReadRetryable(const absl::Status& status);

}  // namespace naru::client
