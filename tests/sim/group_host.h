// Coordinates the groups of a partition of the internal topic for as long as its broker leads that: the
// simulator's own in the place of GroupCoordinator, around the same GroupShard.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "cluster/group/group_shard.h"
#include "tests/sim/broker.h"
#include "tests/sim/group_history.h"
#include "tests/sim/rules.h"

namespace naru::sim {

inline constexpr char kGroup[] = "group";
// Of the topic that its members share out, of which nothing is there but its name.
inline constexpr char kGroupTopic[] = "shared out";
inline constexpr int32_t kGroupPartitions = 4;
inline constexpr cluster::TopicId kGroupTopicId{'s'};

class GroupHost final : public cluster::GroupShard::Effects {
 public:
  struct Surroundings {
    Loop& loop;
    Broker& broker;
    Host& process;
    const Rules& rules;
    GroupHistory& history;
    cluster::TopicPartition partition;
    std::shared_ptr<const cluster::GroupTopics> topics;
  };
  // To a member's session.
  using Listener = std::function<void(const cluster::GroupEffect& told)>;
  // Nothing: this broker cannot say.
  using Described = std::function<void(std::optional<cluster::CommittedOffsets> committed)>;

  explicit GroupHost(Surroundings surroundings) : at_(std::move(surroundings)) { Tick(); }

  // What members ask. Whoever is not heard for long is taken for lost.
  void OnJoin(const cluster::JoinGroup& join, Listener tell);
  void OnPing(uint64_t session, const std::function<void()>& answered);
  void OnRelease(uint64_t session, const std::set<cluster::GroupPartition>& partitions);
  void OnLeave(uint64_t session);
  void OnCommit(cluster::CommitOffsets commit, std::function<void(absl::Status)> done);
  void OnDescribe(Described done);

 private:
  struct Session {
    Listener tell;
    int64_t heard_ms = 0;
  };

  void Append(absl::Cord batch) override;
  void NoteShutOut();
  void Tell(const cluster::GroupEffect& effect) override;

  void Tick();
  // Begins anew with the process; takes over, or gives up, as the replica's role says. True: the groups are
  // read and may be told of.
  bool Follow();
  void Load();
  bool ReadAll();
  void Confirm();
  void Begin();
  void GiveUp(const absl::Status& why);
  void LoseTheSilent();
  uint64_t Remember(std::function<void(absl::Status)> done);
  // Monotonic clocks run alike everywhere: what a session keeps, and for how long, is built on that.
  cluster::GroupTime Now() const { return {at_.loop.now_ms(), at_.loop.NowMs()}; }

  Surroundings at_;
  uint64_t life_ = 0;      // of the process
  LeaderEpoch epoch_{-1};  // in which it leads
  uint64_t generation_ = 0;
  std::unique_ptr<cluster::GroupShard> shard_;
  bool ready_ = false;
  int64_t reload_at_ms_ = 0;
  int64_t confirmed_ms_ = 0;  // nobody else led then
  int64_t asked_ms_ = 0;
  bool confirming_ = false;
  std::map<uint64_t, Session> sessions_;
  std::map<uint64_t, std::function<void(absl::Status)>> requests_;
  uint64_t last_request_ = 0;
  std::map<std::string, bool> members_;  // as of the last write; whether they were to give something up
};

}  // namespace naru::sim
