// The protocol of one member's session, without gRPC, threads, the store or the coordinator: joins, reads
// what is assigned, delivers it, turns acks into commits, gives back what is taken away. Its host (a Consume
// stream, or a member that polls) tells it what happened, and it tells its Effects what to do. Thread-unsafe;
// effects must not call back before the call that caused them has returned.
//
// What is committed by acks is a prefix of what was delivered of each partition (AckLedger). A partition that
// is revoked is not read on; it is released when nothing of it is outstanding any more, after its last
// commit: the coordinator takes both in that order (CommitQueue).
//
// The coordinator may move to another broker. The session asks until it is let in, and one that was a member
// resumes, for as long as the member keeps its partitions (Membership); meanwhile it reads and delivers on,
// and takes acks. When it has resumed it goes on with what it is told that the member still owns, under the
// same member epoch, as if nothing had happened; what it did not hear that it was to give back it is asked
// for again. What the member does not own any more is given up at once. The client is told of no more than
// that.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cluster/group/group_event.h"
#include "cluster/metadata/topic_catalog.h"
#include "naru/v1/group.pb.h"
#include "services/consume/consume_options.h"
#include "services/consume/lane_reader.h"
#include "services/consume/outgoing_message.h"
#include "services/group/ack_ledger.h"
#include "services/group/commit_queue.h"
#include "services/group/join_plan.h"
#include "services/group/membership.h"
#include "storage/base/clock.h"

namespace naru::services {

class GroupSession {
 public:
  using Lane = LaneReader::Lane;
  using CommitNumber = CommitQueue::Number;

  class Effects : public LaneReader::Store {
   public:
    // The topics as they are now.
    virtual std::shared_ptr<const cluster::TopicCatalog> Catalog() = 0;
    // Sets memory aside for as long as the session lives; false: there is none.
    virtual bool SetAside(int64_t bytes) = 0;
    // To the coordinator, in this order. Join: then OnJoined … OnEnded, and after that perhaps another one.
    virtual void Join(const std::string& group, const cluster::JoinGroup& join) = 0;
    // Then OnCommitted. One that failed may go out again, under its number.
    virtual void Commit(CommitNumber number, cluster::CommitOffsets commit) = 0;
    virtual void Release(const std::set<cluster::GroupPartition>& partitions) = 0;
    virtual void Leave() = 0;
    // To the client; each then OnWritten.
    virtual void Tell(const naru::v1::ConsumeResponse& response) = 0;
    // A ConsumeResponse with a GroupDelivery.
    virtual void Deliver(OutgoingMessage message) = 0;
    // The client takes nothing any more: the write that is out is to fail.
    virtual void CutOff() = 0;
    // The last effect.
    virtual void Finish(const absl::Status& status) = 0;
  };

  // Deliveries of a session that are remembered: from the oldest without an ack to the newest.
  static constexpr size_t kDeliveriesMax = 10'000;
  // Explicit commits that are under way, or whose results are to be told.
  static constexpr size_t kExplicitCommitsMax = 1'000;

  // All outlive the session.
  GroupSession(const ConsumeOptions& options, const Clock& clock, Effects& effects);

  // From the client. Join: once, before everything else, with a member_id and a requester.
  void Join(JoinPlan plan);
  // `field` is what the id came in, for errors.
  void Ack(std::string_view field, int64_t delivery_id);
  void Commit(const naru::v1::Commit& commit);
  void Progress();
  // Nothing more comes from the client: ends with OK when what was acknowledged is committed.
  void OnHalfClose();
  // Ends with `status` as soon as no write is out.
  void End(absl::Status status);
  // Whether deliveries may be sent now; at first they may. While not, nothing is kept ready.
  void SetDelivering(bool delivering);

  // From the coordinator.
  void OnJoined(const std::string& member_id, int64_t member_epoch);
  void OnAssigned(const std::map<cluster::GroupPartition, std::optional<cluster::CommittedOffset>>& granted);
  void OnRevoking(const std::set<cluster::GroupPartition>& partitions);
  void OnEnded(const absl::Status& why);
  void OnCommitted(CommitNumber number, const absl::Status& status);

  // From the store, the client's connection and the clock.
  void OnFound(Lane lane, const absl::StatusOr<std::optional<TimedOffset>>& found);
  void OnRead(Lane lane, absl::StatusOr<ReadResult> result, MemoryGate::Hold hold);
  void OnReadable(Lane lane);
  void OnWritten(bool ok);
  void OnTick();

  // When OnTick is due next; at most a few seconds from now.
  std::chrono::nanoseconds NextTick() const;
  // The client may send more.
  bool accepts_requests() const {
    return commits_.explicit_count() + commit_results_.size() < kExplicitCommitsMax;
  }
  // Nothing is to be told or delivered until something happens.
  bool settled() const;
  // It is a member, also while it resumes.
  bool joined() const { return membership_.member(); }
  bool finished() const { return finished_; }
  // Once finished: the member leaves the group, unless its client is gone without a word. Else it is away,
  // for its session timeout (also after what will pass: a broker that stops, a queue that is full), or was no
  // member any more.
  bool leaves() const { return leaves_; }
  // The coordinator does not know yet that the session is over.
  bool to_be_lost() const { return membership_.known(); }
  // Once joined.
  const JoinPlan& plan() const { return plan_; }
  const std::string& member_id() const { return member_id_; }
  int64_t member_epoch() const { return member_epoch_; }

 private:
  // A partition of the member's.
  struct Owned {
    std::shared_ptr<const cluster::TopicInfo> topic;
    LogId log;
    Lane lane = 0;               // of the reader; another one when reading begins anew
    AckLedger::Lane ledger = 0;  // of this assignment
    Offset least;                // nothing below it is committed
  };
  using Partition = cluster::GroupPartition;

  void Assign(const Partition& partition, const std::optional<cluster::CommittedOffset>& committed);
  // The session has resumed, and the member still owns these, and what it is to give back.
  void GoOnWith(const std::map<Partition, std::optional<cluster::CommittedOffset>>& granted);
  // Not the member's any more: nothing of it is delivered or committed from now on.
  void GiveUp(const Partition& partition);
  // What is due of joining and resuming.
  void TryAgain();
  void Ask();
  StartPoint StartWithout() const;  // a committed position
  // Begins to read it.
  void Read(const Partition& partition, Owned& owned, const StartPoint& start);
  void NoteRetired();
  void NotePassed();
  void Restart(const Partition& partition, Owned& owned, absl::Status out_of_range);
  void ReleaseFinished();
  void TellResult(int64_t commit_id, const absl::Status& status);
  // What may go out does.
  void SendCommits();
  void OnCommitDone(CommitNumber number, const absl::Status& status);
  void CheckProgress();

  // Does what can be done now.
  void Go();
  void GoWrite();
  void Finish(const absl::Status& status);
  bool WantsToDeliver() const;
  void TakeReady();
  void SendDelivery(const Partition& partition, LaneReader::Ready ready);
  // What waits to be told, if anything.
  std::optional<naru::v1::ConsumeResponse> TakeNotice();
  void Tell(const naru::v1::ConsumeResponse& response);
  int64_t NowNs() const { return clock_.MonotonicNs(); }

  const Clock& clock_;
  Effects& effects_;
  JoinPlan plan_;
  Membership membership_;
  int64_t attempts_ = 0;  // to be let in, or to resume
  bool half_closed_ = false;
  bool finished_ = false;
  bool leaves_ = false;
  std::optional<absl::Status> end_;
  std::string member_id_;
  int64_t member_epoch_ = 0;

  LaneReader reader_;
  AckLedger ledger_;
  AckLedger::Lane next_ledger_ = 0;
  std::map<Partition, Owned> owned_;
  absl::flat_hash_map<Lane, Partition> by_lane_;
  absl::flat_hash_map<AckLedger::Lane, Partition> by_ledger_;
  std::set<Partition> revoking_;  // of owned_, and what is not known here
  std::set<Partition>
      revoking_anew_;           // of revoking_, told since the session resumed, while that is not confirmed
  bool release_waits_ = false;  // for commits that stand in line

  size_t partitions_aside_ = 0;  // that memory was set aside for
  bool delivering_ = true;

  CommitQueue commits_;
  // At most once: what is delivered when that commit is durable.
  struct Held {
    Partition partition;
    LaneReader::Ready ready;
  };
  std::optional<Held> held_;
  CommitNumber held_commit_ = 0;  // 0: it is

  // What is to be told, in this order.
  bool tell_joined_ = false;
  std::map<Partition, std::optional<cluster::CommittedOffset>> tell_assigned_;
  std::map<Partition, std::shared_ptr<const cluster::TopicInfo>> tell_revoking_;
  std::deque<naru::v1::PartitionFailure> failures_;
  std::deque<naru::v1::CommitResult> commit_results_;

  bool writing_ = false;
  int64_t last_sent_ns_ = 0;
  int64_t progress_ns_ = 0;  // since when nothing was acknowledged though something could be
};

}  // namespace naru::services
