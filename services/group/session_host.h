// What a Consume stream and a member that polls have in common: runs a GroupSession in a strand, between its
// group's coordinator, the store and the clock.
//
// Threads: gRPC's enter the strand directly; the coordinator, the store and timers post to it. The
// coordinator keeps the host alive until it has ended the session, or was told that it is over; between that
// and the next try to resume, and while none is a member yet, its owner does.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "cluster/group/group_coordinator.h"
#include "services/consume/lane_store.h"
#include "services/group/group_context.h"
#include "services/group/group_session.h"
#include "services/rpc/strand.h"

namespace naru::services {

class SessionHost : public std::enable_shared_from_this<SessionHost>,
                    public cluster::GroupListener,
                    protected GroupSession::Effects,
                    private LaneStore::Answers {
 public:
  // From the coordinator's thread.
  void OnJoined(const std::string& member_id, int64_t member_epoch) override;
  void OnAssigned(
      const std::map<cluster::GroupPartition, std::optional<cluster::CommittedOffset>>& partitions) override;
  void OnRevoking(const std::set<cluster::GroupPartition>& partitions) override;
  void OnEnded(const absl::Status& why) override;

  // The service is stopping. Any thread.
  void Stop();

 protected:
  using Lane = GroupSession::Lane;

  explicit SessionHost(std::shared_ptr<GroupContext> context);
  // Once, when somebody owns it.
  void Attach() { store_.SetStream(weak_from_this()); }

  // All below in the strand.
  // INVALID_FIELD, TOPIC_NOT_FOUND, SHUTTING_DOWN.
  absl::Status Join(const naru::v1::Join& join, MemberKind kind, const std::string& peer);
  // The session has finished: nothing more of it comes here.
  void Close();
  // Tells the coordinator, unless it ended the session itself. `gone`: the client went without a word.
  void EndMembership(bool gone);
  // The same, but also a static member leaves: its session timeout is over.
  void LeaveGroup();
  // Called after everything that may have changed the session.
  virtual void AfterEvent() {}

  GroupContext& context() { return *context_; }
  ConsumeContext& consume() { return *context_->consume; }
  Strand& strand() { return strand_; }
  GroupSession& session() { return session_; }
  // Runs `task` in the strand, never on this thread, and then AfterEvent.
  void Post(absl::AnyInvocable<void()> task);

 private:
  std::shared_ptr<const cluster::TopicCatalog> Catalog() override { return consume().catalog.Current(); }
  bool SetAside(int64_t bytes) override { return store_.SetAside(bytes); }
  void Join(const std::string& group, const cluster::JoinGroup& join) override;
  void Commit(GroupSession::CommitNumber number, cluster::CommitOffsets commit) override;
  void Release(const std::set<cluster::GroupPartition>& partitions) override;
  void Leave() override;
  absl::StatusOr<LogInfo> Info(LogId log) override { return store_.Info(log); }
  int64_t MessageBytesMax() override { return store_.MessageBytesMax(); }
  void FindEdge(Lane lane, LogId log, bool end) override { store_.FindEdge(lane, log, end); }
  void FindByTime(Lane lane, LogId log, int64_t timestamp_ms) override {
    store_.FindByTime(lane, log, timestamp_ms);
  }
  void Read(Lane lane, const ReadRequest& request, int64_t memory_bytes, MemoryGate::Line line) override {
    store_.Read(lane, request, memory_bytes, line);
  }
  void Watch(Lane lane, LogId log, Offset offset) override { store_.Watch(lane, log, offset); }
  void WatchLater(Lane lane) override { store_.WatchLater(lane); }
  void Unwatch(Lane lane) override { store_.Unwatch(lane); }
  void OnFound(Lane lane, const absl::StatusOr<std::optional<TimedOffset>>& found) override;
  void OnRead(Lane lane, absl::StatusOr<ReadResult> result, MemoryGate::Hold hold) override;
  void OnReadable(Lane lane) override;
  // When the next is due now; in place of the one that was.
  void ArmTick();
  void Tick();

  const std::shared_ptr<GroupContext> context_;
  Strand strand_;
  LaneStore store_;
  GroupSession session_;
  std::string group_;
  uint64_t number_ = 0;  // of the session at the coordinator
  Executor::TimerId tick_;
  uint64_t tick_number_ = 0;  // of the one that is armed
};

}  // namespace naru::services
