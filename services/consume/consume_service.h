// naru.v1.ConsumeService on gRPC's callback API, with raw messages: records go from the store to the
// connection without being decoded, stored batches without being copied.
//
// Thread-safe. Nothing blocks on gRPC's threads. The store, the catalog, the executor and the clock outlive
// the service and every call it began. To stop: Shutdown(), then the grpc::Server's, then destroy the
// service, then the executor's and the store's Stop().
//
// Memory. All messages that were read and that gRPC has not let go of are counted against one bound
// (ConsumeOptions::memory_bytes); above it calls and streams wait. A client that does not read pins what lies
// in front of it. Four things keep such clients from stopping the others. A stream's messages start small and
// grow only as the client takes many of them. From a quarter of the memory on, nobody gets more than a
// share of it, and no message is made ready ahead. Of those that wait, fetches and streams whose client takes
// its messages at once go before the others. And while anybody waits, whoever has not taken a message for
// stalled_after_ms is cut off, the longest first. So everybody's turn comes.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>

#include "cluster/metadata/topic_catalog.h"
#include "naru/v1/consume.grpc.pb.h"
#include "services/consume/consume_counters.h"
#include "services/consume/consume_options.h"
#include "services/rpc/executor.h"
#include "storage/base/clock.h"
#include "storage/log/log_store.h"

namespace naru::services {

struct ConsumeContext;

class ConsumeService : public naru::v1::ConsumeService::WithRawCallbackMethod_Fetch<
                           naru::v1::ConsumeService::WithRawCallbackMethod_Subscribe<
                               naru::v1::ConsumeService::WithRawCallbackMethod_ListOffsets<
                                   naru::v1::ConsumeService::Service>>> {
 public:
  // `options` were validated.
  ConsumeService(LogStore& store, cluster::CatalogSource& catalog, Executor& executor, const Clock& clock,
                 const ConsumeOptions& options);
  ~ConsumeService() override;

  grpc::ServerUnaryReactor* Fetch(grpc::CallbackServerContext* grpc, const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* response) override;
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Subscribe(
      grpc::CallbackServerContext* grpc) override;
  grpc::ServerUnaryReactor* ListOffsets(grpc::CallbackServerContext* grpc, const grpc::ByteBuffer* request,
                                        grpc::ByteBuffer* response) override;

  // From now on calls fail with SHUTTING_DOWN, fetches that wait answer with what there is, and streams end
  // with SHUTTING_DOWN. Does not wait.
  void Shutdown();

  ConsumeSnapshot Counters() const;

  // For services that read for clients as this one does, within the same bounds.
  const std::shared_ptr<ConsumeContext>& context() const { return context_; }

 private:
  struct Open;

  cluster::CatalogSource& catalog_;
  const std::shared_ptr<ConsumeContext> context_;
  const std::shared_ptr<Open> open_;
  cluster::CatalogSource::WatchId catalog_watch_;
};

}  // namespace naru::services
