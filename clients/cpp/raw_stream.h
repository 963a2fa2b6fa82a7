// Streams whose responses are left as they came, for who reads them where they lie (received_records.h).
#pragma once

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/sync_stream.h>

#include <memory>

namespace naru::client {

// As a generated stub begins a stream of both sides, but with responses that are not parsed. `method`: as
// "/package.Service/Method"; outlives the stream.
template <typename Request>
std::unique_ptr<grpc::ClientReaderWriter<Request, grpc::ByteBuffer>> OpenRawStream(
    const std::shared_ptr<grpc::Channel>& channel, const char* method, grpc::ClientContext& context) {
  const grpc::internal::RpcMethod rpc(method, grpc::internal::RpcMethod::BIDI_STREAMING, channel);
  return std::unique_ptr<grpc::ClientReaderWriter<Request, grpc::ByteBuffer>>(
      grpc::internal::ClientReaderWriterFactory<Request, grpc::ByteBuffer>::Create(channel.get(), rpc,
                                                                                   &context));
}

}  // namespace naru::client
