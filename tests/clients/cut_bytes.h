// Bytes as gRPC may hand them over: in slices. For tests.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <algorithm>
#include <string>
#include <vector>

namespace naru::client::testing {

// Slices of `piece_bytes` each, the last one of what is left.
inline grpc::ByteBuffer Cut(const std::string& bytes, size_t piece_bytes) {
  std::vector<grpc::Slice> slices;
  for (size_t at = 0; at < bytes.size(); at += piece_bytes) {
    slices.emplace_back(bytes.data() + at, std::min(piece_bytes, bytes.size() - at));
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

}  // namespace naru::client::testing
