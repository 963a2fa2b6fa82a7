// One Subscribe on gRPC: a thin shell that runs a SubscribeSession in a strand and carries out its effects.
// Owns itself until gRPC is done with it; what completes later finds it still there and changes nothing.
//
// Threads: gRPC's enter the strand directly; the store, timers and the catalog post to it, so that records
// are spliced on gRPC's or the executor's threads only.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "services/consume/consume_context.h"
#include "services/consume/lane_store.h"
#include "services/consume/subscribe_session.h"
#include "services/rpc/strand.h"

namespace naru::services {

class SubscribeStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                              public std::enable_shared_from_this<SubscribeStream>,
                              public ConsumeMemory::Reader,
                              private SubscribeSession::Effects,
                              private LaneStore::Answers {
 public:
  // `grpc` is gRPC's and lives until OnDone.
  static std::shared_ptr<SubscribeStream> Make(std::shared_ptr<ConsumeContext> context,
                                               grpc::CallbackServerContext& grpc);
  // Called once, when gRPC is done with the stream. Set before Start.
  void SetDone(absl::AnyInvocable<void()> done) { done_ = std::move(done); }
  void Start();
  // The catalog has changed. Any thread.
  void OnCatalogChanged();
  // The service is stopping. Any thread.
  void Stop();

  void CutOff() override;
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  using Lane = SubscribeSession::Lane;

  SubscribeStream(std::shared_ptr<ConsumeContext> context, grpc::CallbackServerContext& grpc);

  // All of these in the strand.
  void OnRequest();
  void Tick();
  void ArmTick();
  std::shared_ptr<const cluster::TopicCatalog> Catalog() override { return context_->catalog.Current(); }
  bool SetAside(int64_t bytes) override { return store_.SetAside(bytes); }
  absl::StatusOr<LogInfo> Info(LogId log) override { return store_.Info(log); }
  int64_t MessageBytesMax() override { return store_.MessageBytesMax(); }
  void FindEdge(Lane lane, LogId log, bool end) override { store_.FindEdge(lane, log, end); }
  void FindByTime(Lane lane, LogId log, int64_t timestamp_ms) override {
    store_.FindByTime(lane, log, timestamp_ms);
  }
  void Read(Lane lane, const ReadRequest& request, int64_t memory_bytes, MemoryGate::Line line) override {
    store_.Read(lane, request, memory_bytes, line);
  }
  void Watch(Lane lane, LogId log, Offset offset) override { store_.Watch(lane, log, offset); }
  void WatchLater(Lane lane) override { store_.WatchLater(lane); }
  void Unwatch(Lane lane) override { store_.Unwatch(lane); }
  void OnFound(Lane lane, const absl::StatusOr<std::optional<TimedOffset>>& found) override {
    session_.OnFound(lane, found);
  }
  void OnRead(Lane lane, absl::StatusOr<ReadResult> result, MemoryGate::Hold hold) override {
    session_.OnRead(lane, std::move(result), std::move(hold));
  }
  void OnReadable(Lane lane) override { session_.OnReadable(lane); }
  void Write(SubscribeSession::Message message) override;
  void Finish(const absl::Status& status) override;

  const std::shared_ptr<ConsumeContext> context_;
  grpc::CallbackServerContext& grpc_;
  grpc::ByteBuffer request_;   // gRPC's while a read is out
  grpc::ByteBuffer response_;  // gRPC's while a write is out
  absl::AnyInvocable<void()> done_;
  Strand strand_;

  LaneStore store_;
  SubscribeSession session_;
  bool ticking_ = false;
  Executor::TimerId tick_;
  std::shared_ptr<SubscribeStream> self_;
};

}  // namespace naru::services
