// What gRPC alone can do on this machine: a server that takes what the hub takes and answers at once, storing
// nothing. The hub's figures are read beside it.
#pragma once

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

namespace naru::bench {

// Answers ProduceStream items by their ids, Produce with an empty answer, Fetch with `fetch_bytes` of made-up
// records.
class EchoServer final : private grpc::CallbackGenericService {
 public:
  explicit EchoServer(int64_t fetch_bytes = 1 << 20);
  ~EchoServer() override;

  // Listens on a free port of the loopback interface; the address, or "" when that fails.
  std::string Start();

 private:
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override;

  const grpc::Slice fetch_answer_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace naru::bench
