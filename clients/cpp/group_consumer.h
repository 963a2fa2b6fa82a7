// A member of a consumer group: one Consume stream that is made again where it broke off, as the same member.
//
//   naru::v1::Join join;
//   join.set_group("billing");
//   join.add_topics("orders");
//   NARU_ASSIGN_OR_RETURN(auto consumer, naru::client::GroupConsumer::Open(client, join, {}));
//   while (!stop) {
//     NARU_ASSIGN_OR_RETURN(auto event, consumer->Next(absl::Seconds(1)));
//     if (!event) continue;  // nothing within that second
//     if (auto* delivery = std::get_if<naru::client::GroupRecords>(&*event)) {
//       for (const auto& record : delivery->records) {
//         Handle(record.key, record.value);
//       }
//       consumer->Ack(delivery->head.delivery_id());
//     }
//   }
//   absl::Status committed = consumer->Close(absl::Seconds(10));
//
// How often a record comes. At least once: what was not acknowledged, or whose acknowledgement was on its way
// when a connection broke, is delivered again, to this member or another. With COMMIT_MODE_ON_DELIVERY at
// most once: what was committed and did not arrive, or was not taken by Next, is not delivered again.
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
#include "naru/v1/group.grpc.pb.h"
#include "naru/v1/group.pb.h"

namespace naru::client {

struct GroupConsumerOptions {
  // Each call of Next acknowledges the delivery that the one before gave: it is handled by then. Close
  // acknowledges the last.
  bool ack_on_next = false;
  // What MEMBER_FENCED does. false: Next fails with it, so that the application knows that others read on
  // where it was. true: it joins again as a new member, which GroupJoined tells; not with an instance_id,
  // where two of the same would fence each other without end.
  bool rejoin_when_fenced = false;
  // How long a broken stream is tried to be made again before Next fails. More than 0; may be infinite. A
  // stream made again later than the session timeout finds its partitions with others.
  absl::Duration reconnect_timeout = absl::Minutes(2);
};

// This is a member now: its first stream, or another after a break. Nothing is assigned any more of what was;
// what is comes with naru::v1::Assigned. Deliveries of earlier streams come again where they were not
// committed.
struct GroupJoined {
  std::string member_id;
  int64_t member_epoch = 0;
  // Not the first time.
  bool again = false;
};

// Records of one partition, to be acknowledged. The delivery_id is the consumer's own: it rises over all
// streams, and is never used twice.
using GroupRecords = Received<naru::v1::GroupDelivery>;

// PartitionFailed: CORRUPT_DATA; the partition stays assigned.
using GroupEvent =
    std::variant<GroupRecords, naru::v1::Assigned, naru::v1::Revoking, GroupJoined, PartitionFailed>;

// Next and Close from one thread; everything else from any, also from several. Owns one thread that reads the
// stream. What was received and not taken is in memory: at most unacked_bytes_max and one delivery.
class GroupConsumer {
 public:
  // Begins to join. `join` is as for GroupService.Consume: group, topics or topic_pattern, instance_id,
  // start, commit_mode, delivery, timeouts, bounds; with a member_id it comes back as that member.
  // INVALID_FIELD for bad options and a `join` without group or topics; what the broker refuses is told by
  // Next.
  static absl::StatusOr<std::unique_ptr<GroupConsumer>> Open(std::shared_ptr<Client> client,
                                                             const naru::v1::Join& join,
                                                             GroupConsumerOptions options);
  // Cancels, and waits for no server: the member keeps its partitions for its session timeout, and what was
  // acknowledged last may be delivered again. Close comes first where that matters.
  ~GroupConsumer();
  GroupConsumer(const GroupConsumer&) = delete;
  GroupConsumer& operator=(const GroupConsumer&) = delete;

  // The next event, waiting for at most `timeout`; nothing when there was none. An error is final:
  //   - FAILED_PRECONDITION/MEMBER_FENCED, unless rejoin_when_fenced;
  //   - what the broker refused the member with: NO_COMMITTED_OFFSET, OFFSET_OUT_OF_RANGE, TOO_MANY_MEMBERS,
  //     TOPIC_NOT_FOUND, INVALID_FIELD;
  //   - why the stream could not be made again within reconnect_timeout;
  //   - DATA_LOSS/CORRUPT_DATA: it gave what cannot be read;
  //   - CANCELLED after Cancel or Close.
  absl::StatusOr<std::optional<GroupEvent>> Next(absl::Duration timeout);

  // The delivery was handled; sent at once, in any order. Deliveries of an earlier stream cannot be
  // acknowledged any more and are dropped, as is an id that was never given out: see stale_acks.
  void Ack(int64_t delivery_id) ABSL_LOCKS_EXCLUDED(write_mutex_, mutex_);

  // Commits positions of assigned partitions, all or none, and waits for the answer; while there is no stream
  // for the next one. MEMBER_FENCED for a partition that is not assigned; DEADLINE_EXCEEDED after `timeout`
  // and UNAVAILABLE when the stream broke: then it is not known whether they are committed. Otherwise as
  // Next.
  absl::Status Commit(const std::vector<naru::v1::OffsetCommit>& offsets, absl::Duration timeout)
      ABSL_LOCKS_EXCLUDED(write_mutex_, mutex_);

  // The application is still at work on what it took: the progress timeout begins anew. Nothing while there
  // is no stream, when there is no such timeout either.
  void Progress() ABSL_LOCKS_EXCLUDED(write_mutex_, mutex_);

  // Leaves the group (a member with an instance_id keeps its place for its session timeout). OK: everything
  // acknowledged is committed. Otherwise what Next had failed with, or why there was no stream to leave by,
  // or DEADLINE_EXCEEDED after `timeout`, which ends it as Cancel does: what was acknowledged last may be
  // delivered again. Later calls give the same.
  absl::Status Close(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(write_mutex_, mutex_);

  // Makes Next fail with CANCELLED, also one that waits. What was delivered before may be left untaken.
  void Cancel();

  // As last joined; empty, and 0, before that.
  std::string member_id() const;
  int64_t member_epoch() const;
  // Why the stream is being made again at the moment; OK while it is there.
  absl::Status ConnectionStatus() const;
  // Acknowledgements that were dropped because their stream was over.
  int64_t stale_acks() const;

 private:
  // Responses are read where they lie (received_records.h).
  using Stream = grpc::ClientReaderWriter<naru::v1::ConsumeRequest, grpc::ByteBuffer>;

  GroupConsumer(std::shared_ptr<Client> client, const naru::v1::Join& join, GroupConsumerOptions options)
      : client_(std::move(client)), join_(join), options_(options) {}

  void Run();
  // False: it is over.
  bool WaitUntilToJoin() ABSL_LOCKS_EXCLUDED(mutex_);
  // What follows the end of a stream. False: it is over.
  bool ShallJoinAgain(const absl::Status& status, absl::Duration delay, absl::Time broken_since)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // One stream from its start to its end. `joined`: the broker took it as a member.
  absl::Status ReadOneStream(bool* joined) ABSL_LOCKS_EXCLUDED(write_mutex_, mutex_);
  bool Begin(Stream& stream) ABSL_LOCKS_EXCLUDED(write_mutex_, mutex_);
  // DATA_LOSS when it cannot be read.
  absl::Status Handle(const grpc::ByteBuffer& bytes, bool* joined) ABSL_LOCKS_EXCLUDED(mutex_);
  void Handle(naru::v1::ConsumeResponse response, bool* joined) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The stream is over, or about to be: nothing more is written to it.
  void Abandon() ABSL_LOCKS_EXCLUDED(write_mutex_, mutex_);
  bool Over() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return cancelled_ || closing_ || done_; }
  absl::Status WhyOver() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsAtMostOnce() const { return join_.commit_mode() == naru::v1::COMMIT_MODE_ON_DELIVERY; }
  // Writes a commit, on a stream that has joined. False: there is none now.
  bool SendCommit(const naru::v1::ConsumeRequest& request) ABSL_LOCKS_EXCLUDED(write_mutex_, mutex_);

  const std::shared_ptr<Client> client_;
  const naru::v1::Join join_;
  const GroupConsumerOptions options_;
  int64_t unacked_ = 0;  // with ack_on_next: what Next gave last; the calling thread's

  mutable absl::Mutex mutex_;
  std::deque<GroupEvent> queue_ ABSL_GUARDED_BY(mutex_);
  std::string member_id_ ABSL_GUARDED_BY(mutex_);
  int64_t member_epoch_ ABSL_GUARDED_BY(mutex_) = 0;
  bool joined_ ABSL_GUARDED_BY(mutex_) = false;  // the present stream has
  bool joined_before_ ABSL_GUARDED_BY(mutex_) = false;
  // The consumer's delivery ids are the stream's and this.
  int64_t ids_before_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t stale_acks_ ABSL_GUARDED_BY(mutex_) = 0;
  // Those that somebody waits for; nothing: not answered yet.
  std::map<int64_t, std::optional<absl::Status>> commits_ ABSL_GUARDED_BY(mutex_);
  int64_t next_commit_ ABSL_GUARDED_BY(mutex_) = 1;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  bool half_closed_ ABSL_GUARDED_BY(mutex_) = false;   // the stream, when closing began
  bool done_ ABSL_GUARDED_BY(mutex_) = false;          // the thread has ended
  absl::Status final_status_ ABSL_GUARDED_BY(mutex_);  // how
  absl::Status connection_status_ ABSL_GUARDED_BY(mutex_);
  // Of the reading thread's calls and pauses.
  Cancellation cancellation_;

  // Guards the stream against its end while something is written. Taken before mutex_.
  absl::Mutex write_mutex_;
  Stream* stream_ ABSL_GUARDED_BY(write_mutex_) = nullptr;

  std::thread thread_;
};

}  // namespace naru::client
