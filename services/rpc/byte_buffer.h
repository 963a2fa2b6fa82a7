// Between gRPC's slices and absl::Cord, sharing the bytes both ways. Thread-safe.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <memory>
#include <string>

#include "absl/strings/cord.h"

namespace naru::services {

// Shares slices of 16 KiB and more; copies smaller ones, since a small slice can pin a whole read buffer.
// Empty when the buffer cannot be read.
absl::Cord ToCord(const grpc::ByteBuffer& buffer);

// Shares the cord's chunks until gRPC lets go of them.
grpc::ByteBuffer ToByteBuffer(const absl::Cord& cord);

// The message `head` followed by `body`. Both are kept, and `keep` with them, until gRPC has let go of the
// last slice: later than OnWriteDone says.
grpc::ByteBuffer ToByteBuffer(std::string head, std::string body, std::shared_ptr<const void> keep);
grpc::ByteBuffer ToByteBuffer(std::string head, const absl::Cord& body, std::shared_ptr<const void> keep);

}  // namespace naru::services
