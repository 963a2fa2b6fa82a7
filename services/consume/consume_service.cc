#include "services/consume/consume_service.h"

#include <atomic>
#include <utility>

#include "services/consume/consume_context.h"
#include "services/consume/fetch_call.h"
#include "services/consume/list_offsets_call.h"
#include "services/consume/subscribe_stream.h"
#include "services/rpc/open_streams.h"

namespace naru::services {

struct ConsumeService::Open {
  OpenStreams<FetchCall> fetches;
  OpenStreams<SubscribeStream> streams;
  // The streams are about to be told of a change of the catalog; further changes need not be told apart.
  std::atomic<bool> change_due{false};
};

ConsumeService::ConsumeService(LogStore& store, cluster::CatalogSource& catalog, Executor& executor,
                               const Clock& clock, const ConsumeOptions& options)
    : catalog_(catalog),
      context_(std::make_shared<ConsumeContext>(store, catalog, executor, clock, options)),
      open_(std::make_shared<Open>()) {
  // On the publisher's thread, which is not to be kept.
  catalog_watch_ = catalog_.Watch([&executor, open = open_] {
    if (open->change_due.exchange(true)) return;
    executor.Run([open] {
      open->change_due.store(false);
      for (const std::shared_ptr<SubscribeStream>& stream : open->streams.All()) stream->OnCatalogChanged();
    });
  });
}

ConsumeService::~ConsumeService() { catalog_.CancelWatch(catalog_watch_); }

grpc::ServerUnaryReactor* ConsumeService::Fetch(grpc::CallbackServerContext* grpc,
                                                const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  const std::shared_ptr<FetchCall> call = FetchCall::Make(context_, *grpc, *response);
  call->SetDone([open = open_, call = call.get()] { open->fetches.Remove(call); });
  open_->fetches.Add(call);
  call->Start(*request);
  return call.get();
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* ConsumeService::Subscribe(
    grpc::CallbackServerContext* grpc) {
  const std::shared_ptr<SubscribeStream> stream = SubscribeStream::Make(context_, *grpc);
  stream->SetDone([open = open_, stream = stream.get()] { open->streams.Remove(stream); });
  open_->streams.Add(stream);
  // A Shutdown before the Add has not seen it.
  if (!context_->CheckOpen().ok()) stream->Stop();
  stream->Start();
  return stream.get();
}

grpc::ServerUnaryReactor* ConsumeService::ListOffsets(grpc::CallbackServerContext* grpc,
                                                      const grpc::ByteBuffer* request,
                                                      grpc::ByteBuffer* response) {
  const std::shared_ptr<ListOffsetsCall> call = ListOffsetsCall::Make(context_, *grpc, *response);
  call->Start(*request);
  return call.get();
}

void ConsumeService::Shutdown() {
  context_->stopping.store(true);
  for (const std::shared_ptr<FetchCall>& call : open_->fetches.All()) call->Stop();
  for (const std::shared_ptr<SubscribeStream>& stream : open_->streams.All()) stream->Stop();
}

ConsumeSnapshot ConsumeService::Counters() const {
  const ConsumeCounters& counters = context_->counters;
  ConsumeSnapshot snapshot;
  snapshot.fetches = counters.fetches.load(std::memory_order_relaxed);
  snapshot.fetches_open = counters.fetches_open.load(std::memory_order_relaxed);
  snapshot.streams = counters.streams.load(std::memory_order_relaxed);
  snapshot.streams_open = counters.streams_open.load(std::memory_order_relaxed);
  snapshot.list_calls = counters.list_calls.load(std::memory_order_relaxed);
  snapshot.deliveries = counters.deliveries.load(std::memory_order_relaxed);
  snapshot.records = counters.records.load(std::memory_order_relaxed);
  snapshot.bytes = counters.bytes.load(std::memory_order_relaxed);
  snapshot.stalled = counters.stalled.load(std::memory_order_relaxed);
  snapshot.memory_used_bytes = context_->memory->gate().used_bytes();
  snapshot.memory_waiting_bytes = context_->memory->gate().waiting_bytes();
  snapshot.memory_refusals = context_->memory->gate().refusals();
  snapshot.errors = counters.errors.Read();
  snapshot.fetch = counters.fetch.Read();
  return snapshot;
}

}  // namespace naru::services
