// The followers that fetch from this broker: one session for each of their streams. Answers fetches of logs
// that are led here, with what was appended, as soon as there is something to say; in turn, so that no
// partition keeps another from its share.
//
// On the replicas' loop, but for what says otherwise.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>

#include "absl/status/statusor.h"
#include "cluster/broker/hosted_replica.h"
#include "naru/internal/v1/peer.pb.h"

namespace naru::cluster {

class ReplicaHost;

class LeaderStreams {
 public:
  using SessionId = uint64_t;
  // The way to one follower. Called on the loop; must not block or call back.
  class Stream {
   public:
    virtual ~Stream() = default;
    virtual void Send(naru::internal::v1::ReplicateResponse message) = 0;
    virtual int64_t queued_bytes() const = 0;
    virtual void End(absl::Status why) = 0;
  };

  explicit LeaderStreams(ReplicaHost& host) : host_(host) {}

  // --- From any thread.
  SessionId Open(std::shared_ptr<Stream> stream);
  void OnMessage(SessionId session, naru::internal::v1::ReplicateRequest message);
  // What was queued has gone out.
  void OnDrained(SessionId session);
  void Closed(SessionId session);

  // --- On the loop.
  // The log has more to say: to whom it is news is answered.
  void Serve(HostedReplica& part);
  // Fetches that came before the epoch began here.
  void ServeEarly(HostedReplica& part);
  // Followers that wait hear of a high watermark or a log start that they do not know.
  void Tell(HostedReplica& part);
  // A fetch of this follower that waits is answered, with nothing; false: none waits.
  bool AnswerNow(HostedReplica& part, BrokerId follower);
  void Flush();
  void EndAll();

  int64_t catch_up_bytes() const { return catch_up_bytes_; }
  int64_t catch_up_waiting() const;

 private:
  struct Session {
    std::shared_ptr<Stream> stream;
    BrokerId broker = kNoBroker;
    BrokerEpoch epoch;
    std::deque<LogId> turns;
    // Of logs that the follower is not in sync with, when those have had their share.
    std::deque<LogId> waiting;
    int64_t reading_bytes = 0;
    naru::internal::v1::ReplicateResponse outgoing;
    int64_t outgoing_bytes = 0;
  };

  void OnFetch(SessionId id, Session& session, const naru::internal::v1::PartitionFetch& message);
  void Handle(SessionId id, Session& session, HostedReplica& part, const ReplicaFetch& fetch);
  void Answer(Session& session, naru::internal::v1::FetchedPartition answer);
  void Pump(SessionId id, Session& session);
  // Of a follower that is neither in sync nor eligible to lead; then it is bounded what it is given.
  static bool CatchesUp(const HostedReplica& part, BrokerId follower);
  bool MayCatchUp();
  void WaitToCatchUp();
  void Read(SessionId id, Session& session, HostedReplica& part, const ReplicaFetch& fetch);
  void OnRead(SessionId id, LogId log, const ReplicaFetch& fetch, absl::StatusOr<ReadResult> result);

  ReplicaHost& host_;
  std::map<SessionId, Session> sessions_;
  // A bucket that holds what may be given at once: refilled with time, to a tenth of a second's at most.
  double catch_up_left_ = 0;
  int64_t catch_up_filled_ms_ = 0;
  bool catch_up_timer_ = false;
  int64_t catch_up_bytes_ = 0;
  std::atomic<SessionId> last_session_{0};
};

}  // namespace naru::cluster
