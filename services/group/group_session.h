// The protocol of one member's session, without gRPC, threads, the store or the coordinator: joins, reads
// what is assigned, delivers it, turns acks into commits, gives back what is taken away. Its host (a Consume
// stream, or a member that polls) tells it what happened, and it tells its Effects what to do. Thread-unsafe;
// effects must not call back before the call that caused them has returned.
//
// What is committed by acks is a prefix of what was delivered of each partition (AckLedger). A partition that
// is revoked is not read on; it is released when nothing of it is outstanding any more, after its last
// commit: the coordinator takes both in that order. While one commit is under way further positions gather
// for the next, so that a fast consumer costs few commits.
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
#include "services/group/join_plan.h"
#include "storage/base/clock.h"

namespace naru::services {

class GroupSession {
 public:
  using Lane = LaneReader::Lane;
  using CommitNumber = uint64_t;

  class Effects : public LaneReader::Store {
   public:
    // The topics as they are now.
    virtual std::shared_ptr<const cluster::TopicCatalog> Catalog() = 0;
    // Sets memory aside for as long as the session lives; false: there is none.
    virtual bool SetAside(int64_t bytes) = 0;
    // To the coordinator, in this order. Join: then OnJoined … OnEnded.
    virtual void Join(const std::string& group, const cluster::JoinGroup& join) = 0;
    // Then OnCommitted.
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

  // From the client. Join: once, before everything else, with a member_id.
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
    return explicit_commits_.size() + commit_results_.size() < kExplicitCommitsMax;
  }
  // Nothing is to be told or delivered until something happens.
  bool settled() const;
  bool joined() const { return membership_ == Membership::kMember; }
  bool finished() const { return finished_; }
  // Once finished: the member leaves the group, unless its client is gone without a word. Else it is away,
  // for its session timeout (also after what will pass: a broker that stops, a queue that is full), or was no
  // member any more.
  bool leaves() const { return leaves_; }
  // The coordinator does not know yet that the session is over.
  bool to_be_lost() const {
    return membership_ == Membership::kJoining || membership_ == Membership::kMember;
  }
  // Once joined.
  const JoinPlan& plan() const { return plan_; }
  const std::string& member_id() const { return member_id_; }
  int64_t member_epoch() const { return member_epoch_; }

 private:
  enum class Membership { kNone, kJoining, kMember, kOver };
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
  StartPoint StartWithout() const;  // a committed position
  // Begins to read it.
  void Read(const Partition& partition, Owned& owned, const StartPoint& start);
  void NoteRetired();
  void NotePassed();
  void Restart(const Partition& partition, Owned& owned, absl::Status out_of_range);
  void ReleaseFinished();
  // `partition` is to be committed at `next`; of several only the newest counts.
  void Want(const Partition& partition, Offset next);
  // Sends what is wanted as one commit.
  void SendCommit();
  cluster::CommitOffsets CommitOf(cluster::CommittedOffsets offsets) const;
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
  Membership membership_ = Membership::kNone;
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

  size_t partitions_aside_ = 0;  // that memory was set aside for
  bool delivering_ = true;

  cluster::CommittedOffsets wanted_;                  // to be committed
  std::set<CommitNumber> commits_;                    // of acks and deliveries, under way
  std::map<CommitNumber, int64_t> explicit_commits_;  // under way: the client's commit_id
  CommitNumber last_commit_ = 0;
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
