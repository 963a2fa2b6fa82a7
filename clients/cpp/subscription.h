// Records as they come: one Subscribe stream that is made again where it broke off, and credit that follows
// what the application takes.
//
//   naru::v1::SubscribeStart start;
//   start.add_topics()->set_topic("orders");
//   NARU_ASSIGN_OR_RETURN(auto subscription, naru::client::Subscription::Open(client, start, {}));
//   while (true) {
//     NARU_ASSIGN_OR_RETURN(auto event, subscription->Next(absl::Seconds(1)));
//     if (!event) continue;  // nothing within that second
//     if (auto* delivery = std::get_if<naru::client::PartitionRecords>(&*event)) {
//       for (const auto& record : delivery->records) {
//         Handle(record.key, record.value);
//       }
//     }
//   }
//
// After a broken connection reading goes on at the next offset: no record is delivered twice or left out. A
// topic that was deleted meanwhile, or deleted and made anew, is not read on: its partitions fail.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "clients/cpp/cancellation.h"
#include "clients/cpp/client.h"
#include "clients/cpp/partition_position.h"
#include "clients/cpp/received_records.h"
#include "naru/v1/consume.grpc.pb.h"
#include "naru/v1/consume.pb.h"

namespace naru::client {

struct SubscriptionOptions {
  // Bytes of deliveries that may be on the way or wait to be taken; memory stays within this and one
  // delivery. More than 0.
  int64_t credit_bytes = 8 << 20;
  // How long a broken stream is tried to be made again before Next fails. More than 0; may be infinite.
  absl::Duration reconnect_timeout = absl::Minutes(2);
  // How often topics subscribed as a whole are asked for new partitions. More than 0.
  absl::Duration new_partitions_interval = absl::Seconds(10);
  // Topics whose partitions are named: those above the highest one named are read too, from their beginning,
  // as they are found. With all partitions named that is a topic as a whole with an offset for each.
  bool read_added_partitions = false;
};

// Records of one partition.
using PartitionRecords = Received<naru::v1::PartitionDelivery>;

// Everything below the partition's end_offset was delivered.
struct PartitionEnded {
  PartitionPosition position;
};

// Every partition ended or failed: nothing more will come.
struct SubscriptionEnded {};

// PartitionFailed: OFFSET_OUT_OF_RANGE, CORRUPT_DATA, or TOPIC_NOT_FOUND, also when there is a new topic of
// that name.
using SubscriptionEvent = std::variant<PartitionRecords, PartitionEnded, PartitionFailed, SubscriptionEnded>;

// Next, Positions from one thread; Cancel from any, also from several. Owns one thread that reads the stream.
class Subscription {
 public:
  // Resolves where each partition begins, then starts to read. `start` is as for ConsumeService.Subscribe,
  // but for credit_bytes, which the options replace. Topics without partitions named are read as a whole:
  // partitions added later are found and read from their beginning. Fails as GetMetadata and ListOffsets do,
  // and with INVALID_ARGUMENT for bad options or a `start` without topics.
  static absl::StatusOr<std::unique_ptr<Subscription>> Open(std::shared_ptr<Client> client,
                                                            const naru::v1::SubscribeStart& start,
                                                            SubscriptionOptions options);
  // Cancels. Does not wait for a server.
  ~Subscription();
  Subscription(const Subscription&) = delete;
  Subscription& operator=(const Subscription&) = delete;

  // The next event, waiting for at most `timeout`; nothing when there was none. An error is final: the broker
  // refused the subscription, the stream could not be made again within reconnect_timeout, it gave what
  // cannot be read (DATA_LOSS/CORRUPT_DATA), or CANCELLED.
  absl::StatusOr<std::optional<SubscriptionEvent>> Next(absl::Duration timeout);

  // Where to go on after what Next gave, for every partition; by topic and partition.
  std::vector<PartitionPosition> Positions() const;

  // Makes Next fail with CANCELLED, also one that waits. What was delivered before may be left untaken.
  void Cancel();

  // Why the stream is being made again at the moment; OK while it is there, and until a first try has failed:
  // one that finds no server fails after the client's connect_timeout.
  absl::Status ConnectionStatus() const;

 private:
  using Key = std::pair<std::string, int32_t>;
  // Responses are read where they lie (received_records.h).
  using Stream = grpc::ClientReaderWriter<naru::v1::SubscribeRequest, grpc::ByteBuffer>;
  struct Progress {
    int64_t read = 0;   // next offset after what the stream gave
    int64_t taken = 0;  // next offset after what Next gave
    std::optional<int64_t> end_offset;
    bool done = false;  // ended or failed
  };
  struct Queued {
    SubscriptionEvent event;
    int64_t bytes = 0;
  };

  Subscription(std::shared_ptr<Client> client, const naru::v1::SubscribeStart& start,
               SubscriptionOptions options)
      : client_(std::move(client)), settings_(start), options_(options) {}

  absl::Status Resolve();
  absl::Status ResolveTopic(const naru::v1::TopicSubscription& topic);
  void Run();
  // One stream from its start to its end; OK when it was left on purpose. `got_something`: it lived.
  absl::Status ReadOneStream(bool* got_something);
  // Reads until the stream is over (false), or to be left: all has ended, or there are new partitions (true).
  // DATA_LOSS when what it gave cannot be read.
  absl::StatusOr<bool> ReadAll(Stream& stream, bool* got_something);
  absl::Status Handle(const grpc::ByteBuffer& bytes) ABSL_LOCKS_EXCLUDED(mutex_);
  void Handle(const naru::v1::SubscribeResponse& response) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A stream could not be begun because one of its topics is gone: fails the partitions of those that are.
  // False: none is, as far as could be found out.
  bool FailGoneTopics() ABSL_LOCKS_EXCLUDED(mutex_);
  // Also begins the count of credit anew, so no credit may be given between it and its sending.
  naru::v1::SubscribeRequest StartRequest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Adds partitions that topics have got. True when there were any.
  bool FindNewPartitions();
  void Push(SubscriptionEvent event, int64_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FinishIfAllDone() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool OwesEnough() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Gives back what is owed when that is worth a message: credit goes in pieces, not one for each delivery.
  void GiveCredit() ABSL_LOCKS_EXCLUDED(write_mutex_, mutex_);

  const std::shared_ptr<Client> client_;
  const naru::v1::SubscribeStart settings_;
  const SubscriptionOptions options_;

  mutable absl::Mutex mutex_;
  std::map<Key, Progress> progress_ ABSL_GUARDED_BY(mutex_);
  // What each name stood for when the subscription was opened.
  std::map<std::string, std::string> topic_ids_ ABSL_GUARDED_BY(mutex_);
  // Topics whose added partitions are read, and the number of the first that would be new.
  std::map<std::string, int32_t> growing_topics_ ABSL_GUARDED_BY(mutex_);
  std::deque<Queued> queue_ ABSL_GUARDED_BY(mutex_);
  int64_t queued_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  // Taken and not yet given back as credit. What the broker may still send, queued_bytes_ and this are
  // credit_bytes together. Below zero: a stream was begun with more credit than there was room for.
  int64_t owed_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status final_status_ ABSL_GUARDED_BY(mutex_);
  absl::Status connection_status_ ABSL_GUARDED_BY(mutex_);
  // Of the reading thread's calls and pauses.
  Cancellation cancellation_;
  absl::Time next_look_for_partitions_ = absl::InfinitePast();  // the reading thread's

  // Guards the stream against its end while credit is written, and the credit of one stream against being
  // given to the next. Taken before mutex_.
  absl::Mutex write_mutex_;
  Stream* stream_ ABSL_GUARDED_BY(write_mutex_) = nullptr;

  std::thread thread_;
};

}  // namespace naru::client
