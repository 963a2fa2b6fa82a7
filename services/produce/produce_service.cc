#include "services/produce/produce_service.h"

#include <utility>

#include "services/produce/produce_call.h"
#include "services/produce/produce_stream.h"
#include "services/rpc/open_streams.h"

namespace naru::services {

struct ProduceService::Streams : OpenStreams<services::ProduceStream> {};

ProduceService::ProduceService(LogStore& store, const cluster::CatalogSource& catalog, Executor& executor,
                               const Clock& clock, const ProduceOptions& options)
    : context_(std::make_shared<ProduceContext>(store, catalog, executor, clock, options)),
      streams_(std::make_shared<Streams>()) {}

ProduceService::~ProduceService() = default;

grpc::ServerUnaryReactor* ProduceService::Produce(grpc::CallbackServerContext* grpc,
                                                  const grpc::ByteBuffer* request,
                                                  grpc::ByteBuffer* response) {
  const std::shared_ptr<ProduceCall> call = ProduceCall::Make(context_, *grpc, *response);
  call->Start(*request);
  return call.get();
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* ProduceService::ProduceStream(
    grpc::CallbackServerContext* grpc) {
  const std::shared_ptr<services::ProduceStream> stream = services::ProduceStream::Make(context_, *grpc);
  stream->SetDone([streams = streams_, stream = stream.get()] { streams->Remove(stream); });
  streams_->Add(stream);
  // A Shutdown before the Add has not seen it.
  if (!context_->CheckOpen().ok()) stream->Stop();
  stream->Start();
  return stream.get();
}

void ProduceService::Shutdown() {
  context_->stopping.store(true);
  for (const std::shared_ptr<services::ProduceStream>& stream : streams_->All()) stream->Stop();
}

ProduceSnapshot ProduceService::Counters() const {
  const ProduceCounters& counters = context_->counters;
  ProduceSnapshot snapshot;
  snapshot.calls = counters.calls.load(std::memory_order_relaxed);
  snapshot.streams = counters.streams.load(std::memory_order_relaxed);
  snapshot.streams_open = counters.streams_open.load(std::memory_order_relaxed);
  snapshot.stream_items = counters.stream_items.load(std::memory_order_relaxed);
  snapshot.inflight = counters.inflight.load(std::memory_order_relaxed);
  snapshot.records = counters.records.load(std::memory_order_relaxed);
  snapshot.bytes = counters.bytes.load(std::memory_order_relaxed);
  snapshot.duplicates = counters.duplicates.load(std::memory_order_relaxed);
  snapshot.memory_used_bytes = context_->memory.used_bytes();
  snapshot.memory_waiting_bytes = context_->memory.waiting_bytes();
  snapshot.memory_refusals = context_->memory.refusals();
  snapshot.reading_bytes = context_->reads->used_bytes();
  snapshot.read_waits = context_->reads->waits();
  snapshot.errors = counters.errors.Read();
  snapshot.ack = counters.ack.Read();
  return snapshot;
}

}  // namespace naru::services
