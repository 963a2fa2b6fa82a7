// The owner of the groups whose partitions of __consumer_offsets this broker leads: reads them from the log,
// runs their state machines on one thread, writes what they decide and passes on what they say.
//
// A group belongs to the partition of its name's murmur2 hash, as any record key does; so groups spread over
// the brokers with that topic's leaders.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "cluster/group/group_machine.h"
#include "cluster/group/group_shard.h"
#include "cluster/group/group_snapshot.h"
#include "cluster/group/groups.h"
#include "cluster/metadata/topic_catalog.h"
#include "storage/base/clock.h"
#include "storage/base/event_log.h"
#include "storage/log/log_store.h"

namespace naru::cluster {

inline constexpr std::string_view kOffsetsTopic = "__consumer_offsets";

struct GroupCoordinatorOptions {
  GroupLimits limits;
  // Groups that are remembered. Beyond: TOO_MANY_GROUPS for one more. At least 1.
  int64_t groups_max = 100'000;
  // What members, assignments and positions of all groups may take of memory, about. Beyond:
  // GROUP_MEMORY_FULL for whatever makes them remember more; what is there goes on. At least 1.
  int64_t memory_bytes = int64_t{64} << 20;
  // Requests that may wait for the thread. Beyond: TOO_MANY_IN_FLIGHT. At least 1.
  size_t queued_requests_max = 100'000;
  // Others forward to this broker what they take it to coordinate: as long as it has not heard of the topic
  // it does not know what groups there are, and says NOT_COORDINATOR.
  bool in_cluster = false;
  // Whether this broker still leads the log in this epoch, as ReplicaHost::Confirm: asked before it says what
  // is committed, which another coordinator may have moved on (rule 20). Null: there is no other.
  std::function<void(LogId log, LeaderEpoch epoch, absl::AnyInvocable<void(bool leads)> done)> confirm;
  // How often it makes sure so that it still coordinates groups that have members, and for how long it goes
  // on without an answer: then it lets its members go, who may find another coordinator that it does not know
  // of. At least 1.
  int64_t confirm_every_ms = 500;
  int64_t unconfirmed_ms_max = 4'000;
  // After a write that failed, the groups are read again after so long. At least 1.
  int64_t reload_after_ms = 1'000;
};

// Makes the internal topic, then calls back, on any thread: with OK once the catalog has it.
using MakeOffsetsTopic = absl::AnyInvocable<void(absl::AnyInvocable<void(absl::Status)> done)>;

// What happened since the start, and what is there now.
struct GroupCoordinatorStats {
  int64_t queued = 0;            // requests that wait for the thread
  int64_t sessions = 0;          // that are told of their groups
  int64_t requests_refused = 0;  // since as many waited as may
  int64_t reloads = 0;           // of groups after a write that failed
  int64_t count = 0;             // groups there are
  int64_t bytes = 0;             // what they take of memory, about
  GroupShardStats groups;        // of all partitions of the topic
};

// The Groups whose part of the internal topic this broker leads. Of any other group it says NOT_COORDINATOR,
// and nothing is done. Thread-safe.
class GroupCoordinator final : public Groups {
 public:
  using SurveyDone = absl::AnyInvocable<void(absl::StatusOr<std::vector<GroupSnapshot>>)>;

  // All outlive the coordinator. `make_topic` is called for the first that joins or commits where there is no
  // internal topic: until then there are no groups.
  GroupCoordinator(const GroupCoordinatorOptions& options, LogStore& logs, CatalogSource& catalog,
                   const Clock& clock, EventLog& events, MakeOffsetsTopic make_topic);
  ~GroupCoordinator() override;

  // Begins to read the groups; what comes meanwhile waits. Once.
  void Start();
  // Ends every session and request with SHUTTING_DOWN. Idempotent; blocks.
  void Stop();

  uint64_t Join(const std::string& group, JoinGroup join, std::shared_ptr<GroupListener> listener) override;
  void Lose(uint64_t session) override;
  void CutOff(uint64_t session) override;
  void Leave(uint64_t session) override;
  void Release(uint64_t session, std::set<GroupPartition> partitions) override;
  void Commit(const std::string& group, CommitOffsets commit, Done done) override;
  void Remove(const std::string& group, LeaveGroup leave, Done done) override;
  void Reset(const std::string& group, ResetOffsets reset, Done done) override;
  void Delete(const std::string& group, Done done) override;
  void Describe(const std::string& group, SnapshotDone done) override;
  // Of the groups here.
  void List(ListingDone done) override;
  // All groups whose partitions are read, as they are in memory; for measurements.
  void Survey(SurveyDone done);

  // Never waits for the thread.
  GroupCoordinatorStats Stats() const;

  // Looks at the clock now. For tests with a clock that does not move by itself.
  void Wake();

 private:
  using Task = absl::AnyInvocable<void()>;
  enum class State { kNew, kRunning, kStopping };

  // One partition of the internal topic. Everything in it is the thread's.
  struct Shard final : public GroupShard::Effects {
    Shard(GroupCoordinator& owner, size_t index, LogId log) : owner(owner), index(index), log(log) {}
    void Append(absl::Cord batch) override { owner.Append(*this, std::move(batch)); }
    void Tell(const GroupEffect& effect) override { owner.Tell(effect); }

    GroupCoordinator& owner;
    const size_t index;
    const LogId log;
    bool led = false;          // by this broker
    LeaderEpoch placed_epoch;  // in which it does
    LeaderEpoch leader_epoch;  // of the log, in which it was read, and is written
    uint64_t generation =
        0;  // counts the times that it was read, or given up: what belongs to others is void
    std::unique_ptr<GroupShard> groups;  // being read, or ready
    GroupShardStats before;              // what those counted that were read anew
    bool loaded = false;                 // read to the end, and to be confirmed yet
    bool ready = false;
    bool confirming = false;
    int64_t asked_ms = 0;                 // steady; when it was last asked whether this broker coordinates
    int64_t confirmed_ms = 0;             // steady; then it did
    std::deque<Task> parked;              // what waits for that
    absl::Status broken;                  // not OK: it cannot be read
    std::optional<int64_t> reload_at_ms;  // steady
  };
  struct Session {
    std::shared_ptr<GroupListener> listener;
    std::string group;
  };

  // Any thread. A request may be refused; what ends something may not.
  absl::Status Admit();
  void Post(Task task);
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !queue_.empty() || woken_; }

  // On the thread.
  void Run();
  void ShutDown();
  void PassTime();
  std::optional<int64_t> NextDeadline() const;
  Shard& ShardOf(std::string_view group);
  // OK when there is the group, or room for one more.
  // Whether there is room for what the event makes the group remember.
  absl::Status CheckRoom(const Shard& shard, const std::string& group, const GroupEvent& event) const;
  // When the group's shard is ready, or at once when it is broken. Where there is no topic yet it is made.
  void WhenReady(const std::string& group, absl::AnyInvocable<void(Shard&)> task);
  // Once the catalog has the topic.
  void OpenShards(const TopicCatalog& catalog);
  void MakeTopic();
  void OnTopicMade(const absl::Status& status);
  uint64_t Remember(Done done);
  // `without_topic`: the answer where there are no groups yet; absent: the topic is made.
  void Ask(const std::string& group, absl::AnyInvocable<GroupEvent(uint64_t request)> event, Done done,
           std::optional<absl::Status> without_topic = std::nullopt);
  void EndOf(uint64_t session, absl::AnyInvocable<GroupEvent()> event);

  // Hands over what comes back from another thread.
  void BeginCall();
  void EndCall(Task task);
  // NOT_COORDINATOR where another broker may coordinate by now.
  void TellSurely(const Shard& shard, absl::StatusOr<GroupSnapshot> snapshot, SnapshotDone done) const;
  void DoList(ListingDone done);
  void PublishStats();
  // Takes over the shards that this broker leads now, and gives up those that it does not lead any more.
  void FollowLeaders(const TopicCatalog& catalog);
  void GiveUp(Shard& shard);
  void Load(Shard& shard);
  // The log's leader, this broker, does not know its end yet.
  void LoadLater(Shard& shard);
  void ReadOn(Shard& shard, Offset from);
  void OnLoaded(Shard& shard, uint64_t generation, Offset from, absl::StatusOr<ReadResult> result);
  absl::Status Replay(Shard& shard, const ReadResult& result) const;
  void OnReadToEnd(Shard& shard, Offset end);
  void Confirm(Shard& shard);
  void OnConfirmed(Shard& shard, int64_t asked_ms, bool coordinates);
  // When that is due again; nothing: there is nobody else, or no group.
  std::optional<int64_t> NextConfirm(const Shard& shard) const;
  void KeepConfirmed(Shard& shard);
  void Begin(Shard& shard);
  void Break(Shard& shard, const absl::Status& status);
  void Append(Shard& shard, absl::Cord batch);
  void OnAppended(Shard& shard, uint64_t generation, const absl::Status& status);
  void Tell(const GroupEffect& effect);
  void TakeTopics();
  GroupTime Now() const { return {clock_.MonotonicNs() / 1'000'000, clock_.NowMs()}; }

  const GroupCoordinatorOptions options_;
  LogStore& logs_;
  CatalogSource& catalog_;
  const Clock& clock_;
  EventLog& events_;

  // The thread's.
  MakeOffsetsTopic make_topic_;
  std::vector<std::unique_ptr<Shard>> shards_;  // none: there is no topic
  Shard homeless_{*this, 0, LogId(0)};          // what waits for it, and why it could not be made
  bool making_topic_ = false;
  std::shared_ptr<const GroupTopics> topics_;
  absl::flat_hash_map<uint64_t, Session> sessions_;
  absl::flat_hash_map<uint64_t, Done> requests_;
  uint64_t next_request_ = 1;
  bool stopping_ = false;

  mutable absl::Mutex mutex_;
  State state_ ABSL_GUARDED_BY(mutex_) = State::kNew;
  std::deque<Task> queue_ ABSL_GUARDED_BY(mutex_);
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool topics_changed_ ABSL_GUARDED_BY(mutex_) = false;  // and a task for that waits
  size_t store_calls_ ABSL_GUARDED_BY(mutex_) = 0;       // that will come back
  uint64_t next_session_ ABSL_GUARDED_BY(mutex_) = 1;
  int64_t refused_ ABSL_GUARDED_BY(mutex_) = 0;
  GroupCoordinatorStats stats_ ABSL_GUARDED_BY(mutex_);  // as of the thread's last round
  int64_t reloads_ = 0;                                  // the thread's
  CatalogSource::WatchId watch_ = 0;
  std::thread thread_;
};

}  // namespace naru::cluster
