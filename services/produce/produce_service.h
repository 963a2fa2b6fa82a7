// naru.v1.ProduceService on gRPC's callback API, with raw messages: the client's batch goes from the
// connection to the store without being decoded or copied.
//
// Thread-safe. Nothing blocks on gRPC's threads. The store, the catalog, the executor and the clock outlive
// the service and every append it began. To stop: Shutdown(), then the grpc::Server's, then the store's
// Stop().
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "naru/v1/produce.grpc.pb.h"
#include "services/produce/produce_context.h"
#include "services/produce/produce_counters.h"
#include "services/produce/produce_options.h"

namespace naru::services {

class ProduceStream;

class ProduceService
    : public naru::v1::ProduceService::WithRawCallbackMethod_Produce<
          naru::v1::ProduceService::WithRawCallbackMethod_ProduceStream<naru::v1::ProduceService::Service>> {
 public:
  // `options` were validated.
  ProduceService(LogStore& store, const cluster::CatalogSource& catalog, Executor& executor,
                 const Clock& clock, const ProduceOptions& options);
  ~ProduceService() override;

  grpc::ServerUnaryReactor* Produce(grpc::CallbackServerContext* grpc, const grpc::ByteBuffer* request,
                                    grpc::ByteBuffer* response) override;
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* ProduceStream(
      grpc::CallbackServerContext* grpc) override;

  // From now on calls and items fail with SHUTTING_DOWN, and streams end with it when what they have under
  // way is answered. Does not wait.
  void Shutdown();

  ProduceSnapshot Counters() const;

 private:
  struct Streams;

  const std::shared_ptr<ProduceContext> context_;
  const std::shared_ptr<Streams> streams_;
};

}  // namespace naru::services
