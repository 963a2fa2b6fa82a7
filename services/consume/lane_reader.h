// Reads the partitions of one stream in turn, a message's worth each, as fast as the client takes them: which
// is read next, from where, how much, and what it may take of the consume service's memory. Without gRPC,
// threads or the store: its owner tells it what happened, and it asks its Store. Thread-unsafe; the store
// must not call back before the call that caused it has returned.
//
// A lane is a partition of the stream, from where it is added until it retires (its end is reached, or it
// cannot be read on) or is dropped. Lanes with records take turns. The others wait in the store's watches.
//
// One read and one write are out at a time, and one message is ready meanwhile: that is all that a stream
// holds of the memory. Messages begin small and double while the client takes many of them fast, and only for
// such a client is the next one made ready while one is being written; so a client that does not read pins
// little (ConsumeOptions::stream_first_message_bytes). While memory is scarce nothing is made ready ahead,
// and messages stay within a share of it, or for a client that has proved to read, one batch.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/consume/consume_options.h"
#include "services/consume/delivery.h"
#include "services/consume/fetch_plan.h"
#include "services/rpc/memory_gate.h"
#include "storage/base/clock.h"
#include "storage/log/log_store.h"

namespace naru::services {

class LaneReader {
 public:
  // 0, 1, 2 … in the order they were added; never used again.
  using Lane = uint32_t;

  // About what a lane costs here and in the store's watches, bytes.
  static constexpr int64_t kLaneBytes = 256;

  class Store {
   public:
    virtual ~Store() = default;
    // NO_LEADER when another broker has the log: then FindEdge says.
    virtual absl::StatusOr<LogInfo> Info(LogId log) = 0;
    // Where the log starts, or how far it can be read; then OnFound.
    virtual void FindEdge(Lane lane, LogId log, bool end) = 0;
    // What one message may take, bytes; less than INT64_MAX while memory is scarce.
    virtual int64_t MessageBytesMax() = 0;
    // Then OnFound.
    virtual void FindByTime(Lane lane, LogId log, int64_t timestamp_ms) = 0;
    // Takes `memory_bytes` first, in that line, however long that takes; then OnRead.
    virtual void Read(Lane lane, const ReadRequest& request, int64_t memory_bytes, MemoryGate::Line line) = 0;
    // Then OnReadable, once, unless it is unwatched before.
    virtual void Watch(Lane lane, LogId log, Offset offset) = 0;
    // OnReadable in a moment, once, unless it is unwatched before: when nobody leads the log at present.
    virtual void WatchLater(Lane lane) = 0;
    virtual void Unwatch(Lane lane) = 0;
  };

  struct Range {
    LogId log;
    StartPoint start;
    std::optional<Offset> end;
  };
  // A message's worth of records.
  struct Ready {
    Lane lane;
    Offset from;
    Delivery delivery;
    MemoryGate::Hold hold;
    bool full = false;  // about as large as it may be
  };
  struct Retired {
    Lane lane;
    absl::Status outcome;  // OK: the end was reached
  };

  // All outlive the reader.
  LaneReader(const ConsumeOptions& options, const Clock& clock, Store& store)
      : options_(options), clock_(clock), store_(store) {}

  // How messages are to be. Before the first lane.
  void Begin(naru::v1::Delivery form, int64_t message_bytes_max);

  Lane Add(const Range& range);
  // Nothing more of it is delivered, what is ready included.
  void Drop(Lane lane);
  // Nothing more of it is read; what is ready is delivered before.
  void Retire(Lane lane, absl::Status outcome);
  // Lanes that retired since the last call, in that order.
  std::vector<Retired> TakeRetired() { return std::exchange(retired_, {}); }
  bool has_retired() const { return !retired_.empty(); }
  // Lanes that got on since the last call without anything to deliver, since compaction left nothing there.
  std::vector<Lane> TakePassed();
  bool has_passed() const { return !passed_.empty(); }

  void OnFound(Lane lane, const absl::StatusOr<std::optional<TimedOffset>>& found);
  void OnRead(Lane lane, absl::StatusOr<ReadResult> result, MemoryGate::Hold hold);
  void OnReadable(Lane lane);

  // A message of so many bytes is on its way; then OnWritten.
  void OnWriteBegun(int64_t bytes, bool full);
  void OnWritten();

  // Begins to read what comes next, if it is time for that and `wanted`.
  void Go(bool wanted);

  bool ready() const { return ready_.has_value(); }
  std::optional<Lane> ready_lane() const { return ready_ ? std::optional<Lane>(ready_->lane) : std::nullopt; }
  // Of ready(): once.
  Ready TakeReady();
  void DropReady() { ready_.reset(); }
  // What is ready will be read again, when it is wanted.
  void PutBackReady();
  bool reading() const { return reading_; }
  // Something waits to be read.
  bool queued() const { return !queue_.empty(); }

  // Of a lane that was not dropped: the position it has reached.
  Offset position(Lane lane) const { return lanes_.at(lane).next; }
  bool retired(Lane lane) const { return lanes_.at(lane).state == State::kGone; }
  // That neither retired nor were dropped.
  size_t live_lanes() const { return live_; }

 private:
  enum class State { kQueued, kReading, kWatching, kGone };
  struct Slot {
    Range range;
    Offset next;
    int64_t batch_bytes = 0;  // of a batch there, as far as known: what the next read may bring
    State state = State::kQueued;
    bool located = false;
    bool at_edge = false;  // not located, and at the log's start or end, whatever the time asked for
    // Something was read from it, so that its position is the client's affair.
    bool begun = false;
    bool passed = false;  // it is among those that got on
  };

  Slot* Live(Lane lane);
  void Queue(Lane lane, Slot& slot);
  void Read(Lane lane, Slot& slot, int64_t share_bytes);
  // The lane goes on in a moment, when that may help; else it retires.
  void Fail(Lane lane, Slot& slot, absl::Status status);
  void TakeRead(Lane lane, Slot& slot, absl::StatusOr<ReadResult> result, MemoryGate::Hold hold);
  // Whether a lane may begin where it says, when there is nothing to read between that and its end.
  absl::Status CheckStart(const Slot& slot) const;

  const ConsumeOptions& options_;
  const Clock& clock_;
  Store& store_;
  naru::v1::Delivery form_ = naru::v1::DELIVERY_RECORDS;
  Lane next_lane_ = 0;
  int64_t message_bytes_max_ = 0;
  absl::flat_hash_map<Lane, Slot> lanes_;
  size_t live_ = 0;
  std::deque<Lane> queue_;  // to be read, in turn
  std::vector<Retired> retired_;
  std::vector<Lane> passed_;
  std::optional<Ready> ready_;

  int64_t message_bytes_ = 0;  // bound of messages as the client takes them now
  int64_t reading_bytes_ = 0;  // bound of the one that is read
  int full_taken_ = 0;         // messages of about that bound, taken at once
  int64_t taken_bytes_ = 0;    // at once, without a pause
  bool reading_ = false;
  bool writing_ = false;
  bool wrote_full_ = false;
  int64_t wrote_bytes_ = 0;
  bool prompt_ = false;  // the client took the last message at once
  int64_t write_begun_ns_ = 0;
};

}  // namespace naru::services
