// The protocol of one Subscribe stream, without gRPC, threads or the store: what is read and sent, what
// credit is left, when the stream ends. Its stream tells it what happened, and it tells its Effects what to
// do. Thread-unsafe; effects must not call back before the call that caused them has returned.
//
// Reading is the LaneReader's affair. A lane is a partition of the stream; it stays one after it has retired.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cluster/metadata/topic_catalog.h"
#include "naru/v1/consume.pb.h"
#include "services/consume/consume_options.h"
#include "services/consume/lane_reader.h"
#include "services/consume/outgoing_message.h"
#include "services/consume/subscribe_plan.h"
#include "storage/base/clock.h"
#include "storage/log/log_store.h"

namespace naru::services {

class SubscribeSession {
 public:
  using Lane = LaneReader::Lane;

  // A SubscribeResponse.
  using Message = OutgoingMessage;

  class Effects : public LaneReader::Store {
   public:
    // The topics as they are now.
    virtual std::shared_ptr<const cluster::TopicCatalog> Catalog() = 0;
    // Sets memory aside for as long as the stream lives; false: there is none.
    virtual bool SetAside(int64_t bytes) = 0;
    // Then OnWritten.
    virtual void Write(Message message) = 0;
    // The last effect.
    virtual void Finish(const absl::Status& status) = 0;
  };

  // All outlive the session.
  SubscribeSession(const ConsumeOptions& options, const Clock& clock, Effects& effects);

  void OnRequest(const naru::v1::SubscribeRequest& request, const cluster::TopicCatalog& catalog);
  // Ends the stream with `status` as soon as no write is out.
  void End(absl::Status status);
  void OnHalfClose();
  void OnCatalog(const cluster::TopicCatalog& catalog);
  void OnFound(Lane lane, const absl::StatusOr<std::optional<TimedOffset>>& found);
  void OnRead(Lane lane, absl::StatusOr<ReadResult> result, MemoryGate::Hold hold);
  void OnReadable(Lane lane);
  void OnWritten(bool ok);
  void OnTick();

  // When OnTick is due next; at most a few seconds from now.
  std::chrono::nanoseconds NextTick() const;
  bool finished() const { return finished_; }

 private:
  struct Partition {
    size_t topic = 0;  // index of SubscribePlan::topics
    int32_t number = 0;
    absl::Status outcome;  // once it has retired: OK when the end was reached
  };

  void Start(const naru::v1::SubscribeStart& start, const cluster::TopicCatalog& catalog);
  absl::Status AddPartition(const SubscribedPartition& plan);
  void AddCredit(int64_t bytes);
  void FollowTopic(size_t topic, const cluster::TopicCatalog& catalog);
  // Lanes that retired are to be told of; a broker that shuts down ends the stream.
  void NoteRetired();

  // Does what can be done now.
  void Go();
  void GoWrite();
  void Finish(const absl::Status& status);
  bool HasCredit() const { return !credit_ || *credit_ > 0; }
  // Nothing will ever be delivered any more.
  bool Exhausted() const;
  // `full`: about as large as a message may be.
  void Send(Message message, bool full = false);
  void SendReady();
  Message Notice(Lane lane) const;
  Message IdleMessage() const;
  Message DeliveryMessage(LaneReader::Ready ready) const;
  int64_t NowNs() const { return clock_.MonotonicNs(); }
  const cluster::TopicInfo& TopicOf(const Partition& partition) const {
    return *plan_.topics[partition.topic].info;
  }

  const ConsumeOptions& options_;
  const Clock& clock_;
  Effects& effects_;
  bool started_ = false;
  bool finished_ = false;
  bool half_closed_ = false;
  std::optional<absl::Status> end_;
  SubscribePlan plan_;
  std::optional<int64_t> credit_;
  LaneReader reader_;
  std::vector<Partition> partitions_;  // by lane
  std::deque<Lane> notices_;           // to be told that they have retired
  bool writing_ = false;
  int64_t last_sent_ns_ = 0;
};

}  // namespace naru::services
