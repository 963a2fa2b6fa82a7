// Carries out what a LaneReader asks of the store, and brings the answers back in its stream's strand.
//
// Owned by the stream; what is under way keeps the stream alive, and answers nobody after Close. All calls in
// the strand.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "services/consume/consume_context.h"
#include "services/consume/lane_reader.h"
#include "services/rpc/strand.h"

namespace naru::services {

class LaneStore final : public LaneReader::Store {
 public:
  using Lane = LaneReader::Lane;

  // What is answered; all in the strand.
  class Answers {
   public:
    virtual ~Answers() = default;
    virtual void OnFound(Lane lane, const absl::StatusOr<std::optional<TimedOffset>>& found) = 0;
    virtual void OnRead(Lane lane, absl::StatusOr<ReadResult> result, MemoryGate::Hold hold) = 0;
    virtual void OnReadable(Lane lane) = 0;
  };

  // The context, the strand and `answers` belong to the stream, or outlive it.
  LaneStore(ConsumeContext& context, Strand& strand, Answers& answers);
  ~LaneStore() override;
  // Once, before everything else.
  void SetStream(std::weak_ptr<const void> stream) { stream_ = std::move(stream); }

  // Sets memory aside for as long as the stream lives; false: there is none.
  bool SetAside(int64_t bytes);
  // Nothing is answered any more.
  void Close();

  absl::StatusOr<LogInfo> Info(LogId log) override { return context_.store.Info(log); }
  int64_t MessageBytesMax() override;
  void FindEdge(Lane lane, LogId log, bool end) override;
  void FindByTime(Lane lane, LogId log, int64_t timestamp_ms) override;
  void Read(Lane lane, const ReadRequest& request, int64_t memory_bytes, MemoryGate::Line line) override;
  void Watch(Lane lane, LogId log, Offset offset) override;
  void WatchLater(Lane lane) override;
  void Unwatch(Lane lane) override;

 private:
  // What keeps the stream, and this with it.
  std::shared_ptr<const void> Keep() const { return stream_.lock(); }
  void ReadWith(Lane lane, const ReadRequest& request, MemoryGate::Hold hold);

  ConsumeContext& context_;
  Strand& strand_;
  Answers& answers_;
  std::weak_ptr<const void> stream_;
  bool closed_ = false;
  int64_t aside_bytes_ = 0;
  MemoryGate::WaitId memory_wait_ = 0;
  absl::flat_hash_map<Lane, LogStore::WatchId> watches_;
  absl::flat_hash_map<Lane, Executor::TimerId> timers_;
};

}  // namespace naru::services
