// The producer's thread: seals batches when they are due, keeps a ProduceStream to every broker that leads
// something, writes items as the streams take them, and carries answers back to the partitions' queues.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "clients/cpp/cancellation.h"
#include "clients/cpp/client.h"
#include "clients/cpp/partition_queue.h"
#include "clients/cpp/produce_stream.h"

namespace naru::client {

// Append, AddTopic and SealAll may be called from any thread. All changes of what is in flight happen on the
// sender's own thread; gRPC's threads only leave events for it. Memory is bounded by whoever calls Append.
class ProduceSender {
 public:
  // `finished` gets every batch exactly once and must not block. It is called on the sender's thread, and
  // inside of Append once Stop was called. `options` outlive the sender.
  using FinishedHandler = std::function<void(const PartitionQueue&, PartitionQueue::Batch)>;
  ProduceSender(std::shared_ptr<Client> client, const ProducerOptions& options, FinishedHandler finished);
  ~ProduceSender() { Stop(); }
  ProduceSender(const ProduceSender&) = delete;
  ProduceSender& operator=(const ProduceSender&) = delete;

  // Makes the topic's queues, or takes note of its new partitions and leaders.
  void AddTopic(const TopicRoutes& routes);
  // Queues a record (the bytes of a Record). AddTopic came before with that partition. After Stop was called
  // the record fails with CANCELLED at once.
  void Append(std::string_view topic, PartitionId partition, std::string_view raw_record,
              PendingRecord record, int64_t charged_bytes, int64_t generation);
  // Sends what is gathered without waiting for linger, and so what is appended later up to this generation.
  void SealAll(int64_t generation);
  // Ends the streams and the thread. Whatever is not answered by then fails with CANCELLED.
  void Stop();

 private:
  struct Connection;
  // A partition's queue and where it goes.
  struct Lane {
    Lane(std::string topic, PartitionId partition, const ProducerOptions& options, uint32_t seed)
        : queue(std::move(topic), partition, options, seed) {}
    PartitionQueue queue;
    PartitionRoute route;
    // While it waits for its turn on a connection, or has something in flight there.
    Connection* connection = nullptr;
    bool listed = false;
    // Its entry in schedule_; InfiniteFuture: none.
    absl::Time scheduled_at = absl::InfiniteFuture();
  };
  // What goes to one address.
  struct Connection {
    Connection(std::string to, const BackoffOptions& options) : address(std::move(to)), backoff(options) {}
    const std::string address;
    Backoff backoff;
    std::shared_ptr<ProduceStream> stream;
    bool writing = false;
    // What is in flight is one suspect (ProducerBatch::suspect); nothing else is sent until it is answered.
    bool alone = false;
    // Lanes with something to send, each once.
    std::deque<Lane*> listed;
    absl::flat_hash_map<int64_t, Lane*> in_flight;
    absl::Time not_before = absl::InfinitePast();
    absl::Time connecting_since = absl::InfiniteFuture();
    // The last answer, or the first item after everything was answered.
    absl::Time progress_at;
  };
  struct Event {
    Connection* connection;
    std::shared_ptr<ProduceStream> ended;  // not null: the stream's end
    absl::Status status;
    naru::v1::ProduceStreamResponse response;
  };

  void Run();
  bool HandleEvents(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void HandleAnswers(Event& event, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void HandleEnd(Event& event, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HandleDueLanes(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Lists the lane where it can send, and sets when to look at it again.
  void Place(Lane& lane, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Schedule(Lane& lane, absl::Time at) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Something is there to write, and may be written from `not_before` on.
  bool CanWrite(const Connection& connection) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Writes the next item of a connection. Lets go of the lock meanwhile.
  bool Pump(Connection& connection, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool OpenStream(Connection& connection) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void GiveUpConnecting(Connection& connection, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendBatch(Connection& connection, Lane& lane, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CancelSilentStreams(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RefreshStaleTopics(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Batches are to be stamped, and there is no id yet to do it with.
  bool LacksProducerId() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return StampsBatches(options_) && producer_id_ == 0;
  }
  bool AnyListed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Asks for a producer id when something is there to be sent. Lets go of the lock meanwhile. True: it asked.
  bool InitProducer(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void HandleNoProducerId(const absl::Status& status, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // When to wake without an event.
  absl::Time NextWake() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // One step towards the end; true when nothing is left.
  bool StepTowardsStop(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Finish(const Lane& lane, std::vector<PartitionQueue::Batch> batches);
  absl::Status Encode(const Lane& lane, ProducerBatch& batch) const;
  Connection& ConnectionTo(const std::string& address) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::shared_ptr<Client> client_;
  const ProducerOptions& options_;
  const FinishedHandler finished_;

  absl::Mutex mutex_;
  absl::CondVar wake_;
  // When the thread will wake by itself; InfinitePast while it is awake.
  absl::Time asleep_until_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  // By topic, by partition.
  std::map<std::string, std::vector<std::unique_ptr<Lane>>, std::less<>> topics_ ABSL_GUARDED_BY(mutex_);
  std::set<std::pair<absl::Time, Lane*>> schedule_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, std::unique_ptr<Connection>> connections_ ABSL_GUARDED_BY(mutex_);
  std::deque<Event> events_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<std::string> stale_topics_ ABSL_GUARDED_BY(mutex_);
  absl::Time refresh_not_before_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  int64_t next_batch_id_ ABSL_GUARDED_BY(mutex_) = 1;
  int64_t next_stream_ ABSL_GUARDED_BY(mutex_) = 1;
  // 0: none yet. Until then nothing is sent that is to be stamped.
  int64_t producer_id_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time init_not_before_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  Backoff init_backoff_ ABSL_GUARDED_BY(mutex_);
  // Ends the call for an id when the sender stops.
  Cancellation stop_;
  // Records of this generation and earlier ones do not wait for linger.
  int64_t sealed_generation_ ABSL_GUARDED_BY(mutex_) = -1;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Time cancel_at_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  std::thread thread_;
};

}  // namespace naru::client
