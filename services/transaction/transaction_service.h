// naru.v1.TransactionService: producer ids. See proto/naru/v1/transaction.proto for the contract.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>

#include "cluster/metadata/producer_registry.h"
#include "naru/v1/transaction.grpc.pb.h"

namespace naru::services {

// Thread-safe; its calls run on gRPC's threads and never wait for the disk: they are answered from the
// registry's thread. Raw: see MessageCall. It keeps no state of its own.
class TransactionService : public naru::v1::TransactionService::WithRawCallbackMethod_InitProducer<
                               naru::v1::TransactionService::Service> {
 public:
  // `producers` outlives the gRPC server that this is registered with.
  explicit TransactionService(cluster::ProducerRegistry& producers) : producers_(producers) {}

  // Calls that come from now on fail with SHUTTING_DOWN; those under way end by themselves. Idempotent.
  void Shutdown() { stopping_.store(true, std::memory_order_relaxed); }

  grpc::ServerUnaryReactor* InitProducer(grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer* request,
                                         grpc::ByteBuffer* response) override;

 private:
  // OK, or SHUTTING_DOWN.
  absl::Status CheckRunning() const;

  cluster::ProducerRegistry& producers_;
  std::atomic<bool> stopping_{false};
};

}  // namespace naru::services
