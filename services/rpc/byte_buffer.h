// Between gRPC's slices and absl::Cord, sharing the bytes both ways. Thread-safe.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include "absl/strings/cord.h"

namespace naru::services {

// Shares slices of 16 KiB and more; copies smaller ones, since a small slice can pin a whole read buffer.
absl::Cord ToCord(const grpc::ByteBuffer& buffer);

// Shares the cord's chunks until gRPC lets go of them.
grpc::ByteBuffer ToByteBuffer(const absl::Cord& cord);

}  // namespace naru::services
