// The protocol of one Subscribe stream, without gRPC, threads or the store: which partition is read next,
// what is sent, what credit is left, when the stream ends. Its stream tells it what happened, and it tells
// its Effects what to do. Thread-unsafe; effects must not call back before the call that caused them has
// returned.
//
// One read and one write are out at a time, and one message is ready meanwhile: that is all that a stream
// holds of the consume service's memory. Partitions with records take turns, a message each. The others wait
// in the store's watches.
//
// Messages begin small and double while the client takes many of them fast, and only for such a client is the
// next one made ready while one is being written; so a client that does not read pins little
// (ConsumeOptions::stream_first_message_bytes). While memory is scarce nothing is made ready ahead, and
// messages stay within a share of it, or for a client that has proved to read, one batch.
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
#include "absl/strings/cord.h"
#include "cluster/metadata/topic_catalog.h"
#include "naru/v1/consume.pb.h"
#include "services/consume/consume_options.h"
#include "services/consume/delivery.h"
#include "services/consume/subscribe_plan.h"
#include "services/rpc/memory_gate.h"
#include "storage/base/clock.h"
#include "storage/log/log_store.h"

namespace naru::services {

class SubscribeSession {
 public:
  // Index of a partition of the stream.
  using Lane = uint32_t;

  // A SubscribeResponse: `head` followed by records or batches.
  struct Message {
    std::string head;
    std::string records;
    absl::Cord batches;
    MemoryGate::Hold hold;
    int64_t record_count = 0;
    int64_t credit_bytes = 0;  // what it takes of the stream's credit
    int64_t size_bytes() const { return static_cast<int64_t>(head.size() + records.size() + batches.size()); }
  };

  class Effects {
   public:
    virtual ~Effects() = default;
    virtual absl::StatusOr<LogInfo> Info(LogId log) = 0;
    // The topics as they are now.
    virtual std::shared_ptr<const cluster::TopicCatalog> Catalog() = 0;
    // What one message may take, bytes; less than INT64_MAX while memory is scarce.
    virtual int64_t MessageBytesMax() = 0;
    // Sets memory aside for as long as the stream lives; false: there is none.
    virtual bool SetAside(int64_t bytes) = 0;
    // Then OnFound.
    virtual void FindByTime(Lane lane, LogId log, int64_t timestamp_ms) = 0;
    // Takes `memory_bytes` first, in that line, however long that takes; then OnRead.
    virtual void Read(Lane lane, const ReadRequest& request, int64_t memory_bytes, MemoryGate::Line line) = 0;
    // Then OnReadable, once, unless it is unwatched before.
    virtual void Watch(Lane lane, LogId log, Offset offset) = 0;
    virtual void Unwatch(Lane lane) = 0;
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
  enum class State { kQueued, kReading, kWatching, kGone };
  struct Partition {
    SubscribedPartition plan;
    Offset next;
    int64_t batch_bytes = 0;  // of a batch there, as far as known: what the next read may bring
    State state = State::kQueued;
    bool located = false;
    // Something was read from it, so that its position is the client's affair.
    bool begun = false;
    absl::Status outcome;  // of kGone: OK when the end was reached
  };
  struct Ready {
    Lane lane;
    Message message;
    bool full = false;  // about as large as it may be
  };

  void Start(const naru::v1::SubscribeStart& start, const cluster::TopicCatalog& catalog);
  absl::Status AddPartition(const SubscribedPartition& plan);
  void AddCredit(int64_t bytes);
  void FollowTopic(size_t topic, const cluster::TopicCatalog& catalog);
  // The partition leaves: with OK, its end was reached.
  void Retire(Lane lane, const absl::Status& outcome);
  void Queue(Lane lane);

  // Does what can be done now.
  void Go();
  void GoWrite();
  void GoRead();
  void Read(Lane lane, int64_t share_bytes);
  // Whether a subscription may begin where it says, when there is nothing to read between that and its end.
  absl::Status CheckStart(const Partition& partition) const;
  bool HasCredit() const { return !credit_ || *credit_ > 0; }
  // Nothing will ever be delivered any more.
  bool Exhausted() const;
  void Send(Message message);
  void SendReady();
  Message Notice(Lane lane) const;
  Message IdleMessage() const;
  Message DeliveryMessage(Lane lane, Delivery& delivery, MemoryGate::Hold hold) const;
  int64_t NowNs() const { return clock_.MonotonicNs(); }
  const cluster::TopicInfo& TopicOf(const Partition& partition) const {
    return *plan_.topics[partition.plan.topic].info;
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
  std::vector<Partition> partitions_;
  size_t gone_ = 0;
  std::deque<Lane> queue_;  // to be read, in turn
  bool reading_ = false;
  std::optional<Ready> ready_;
  std::deque<Lane> notices_;   // to be told that they are gone
  int64_t message_bytes_ = 0;  // bound of messages as the client takes them now
  int64_t reading_bytes_ = 0;  // bound of the one that is read
  int full_taken_ = 0;         // messages of about that bound, taken at once
  int64_t taken_bytes_ = 0;    // at once, without a pause
  bool writing_ = false;
  bool wrote_full_ = false;
  int64_t wrote_bytes_ = 0;
  bool prompt_ = false;  // the client took the last message at once
  int64_t write_begun_ns_ = 0;
  int64_t last_sent_ns_ = 0;
};

}  // namespace naru::services
