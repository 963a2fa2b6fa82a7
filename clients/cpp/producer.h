// Writes records to topics: gathers them into batches per partition, keeps several batches under way, and
// tells of each record what became of it.
//
//   NARU_ASSIGN_OR_RETURN(auto producer, naru::client::Producer::Create(client, {}));
//   producer->Send("orders", {.key = "42", .value = "paid"}, [](const naru::client::Delivery& delivery) {
//     if (!delivery.status.ok()) ...
//   });
//   absl::Status all_written = producer->Flush(absl::Seconds(30));
//
// Order. Records of one partition that one thread sends are appended in the order sent, also when some had to
// be tried again. When a record fails for good, later ones of its partition may still be appended.
//
// How often. A record whose delivery is OK stands in the log exactly once: batches whose answer was lost are
// sent again until delivery_timeout, and the broker knows them by their stamps (ProducerOptions::idempotent).
// A record whose delivery failed stands there at most once: not at all, unless maybe_appended.
//   - OUT_OF_ORDER_SEQUENCE: the broker lacks what came before: a batch that timed out with an unknown
//   outcome was not appended after all, or the log lost its end. The record was not appended now; later ones
//   go on in a new epoch. (A broker that has merely forgotten the producer, since it was silent for long, is
//   not told of: the producer begins anew there.)
//   - PRODUCER_FENCED: somebody else writes under this producer's id. So fails everything from then on.
// Without `idempotent` a record that is OK stands there at least once, since what is sent again may stand
// twice; with retry_unknown = false at most once, and what was under way when a stream broke is reported as
// failed with maybe_appended.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "clients/cpp/client.h"
#include "clients/cpp/delivery_ledger.h"
#include "clients/cpp/outgoing_record.h"
#include "clients/cpp/partition_rotation.h"
#include "clients/cpp/produce_sender.h"
#include "clients/cpp/producer_options.h"

namespace naru::client {

// Thread-safe. Owns two threads: one sends, one runs the callbacks. Memory is bounded by buffer_bytes_max.
class Producer {
 public:
  // INVALID_ARGUMENT for bad options. Does not connect yet.
  static absl::StatusOr<std::unique_ptr<Producer>> Create(std::shared_ptr<Client> client,
                                                          ProducerOptions options);
  // Close without waiting.
  ~Producer();
  Producer(const Producer&) = delete;
  Producer& operator=(const Producer&) = delete;

  // Accepts a record; `done` is called once, later, on the producer's callback thread. With an error the
  // record was not accepted and `done` is never called:
  //   - NOT_FOUND/TOPIC_NOT_FOUND, PARTITION_NOT_FOUND; UNAVAILABLE when no server can be asked about the
  //   topic;
  //   - RESOURCE_EXHAUSTED: the buffer stayed full for block_timeout (inside of a callback: is full);
  //   - FAILED_PRECONDITION after Close.
  // Blocks while the buffer is full, and for a call when the topic is new to the producer or was not asked
  // about for metadata_age_max. Callbacks may call Send; they must not call Flush or Close, and while one
  // runs no other does.
  absl::Status Send(std::string_view topic, const OutgoingRecord& record, DeliveryCallback done = {});

  // Sends what is gathered, and waits until every record accepted before is answered and its callback has
  // run. OK: all those were acknowledged. Otherwise the first failure since the last Flush, or
  // DEADLINE_EXCEEDED after `timeout`; what is left goes on being tried.
  absl::Status Flush(absl::Duration timeout);

  // Flushes, then ends the streams and threads. What is not answered within `timeout` fails with CANCELLED.
  // Later calls do nothing and give OK.
  absl::Status Close(absl::Duration timeout);

 private:
  struct TopicState {
    std::shared_ptr<const TopicRoutes> routes;
    PartitionRotation rotation;
  };

  Producer(std::shared_ptr<Client> client, ProducerOptions options);
  absl::StatusOr<PartitionId> ChoosePartition(std::string_view topic, const OutgoingRecord& record);

  const std::shared_ptr<Client> client_;
  const ProducerOptions options_;
  DeliveryLedger ledger_;
  ProduceSender sender_;
  std::atomic<bool> closed_ = false;
  absl::Mutex mutex_;
  std::map<std::string, TopicState, std::less<>> topics_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace naru::client
