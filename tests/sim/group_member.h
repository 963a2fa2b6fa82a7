// A member of a simulated cluster's group: what a hub's session does on behalf of a client. It finds the
// coordinator by asking around, reads what it is assigned, commits, gives back what it is to; when it loses
// its coordinator it reads on, for as long as Membership allows, and asks to resume.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "services/group/membership.h"
#include "tests/sim/group_host.h"
#include "tests/sim/network.h"

namespace naru::sim {

class GroupMember {
 public:
  struct Surroundings {
    Loop& loop;
    Random& random;
    Network& network;
    GroupHistory& history;
    // Of each broker.
    std::vector<GroupHost*> hosts;
    std::vector<HostId> host_ids;
    uint64_t& next_session;
    // Of the partitions to which nothing is written any more.
    const std::map<cluster::GroupPartition, int64_t>& ends;
  };
  GroupMember(size_t number, Surroundings surroundings, HostId host)
      : number_(number), at_(std::move(surroundings)), host_(host) {}

  void Run();
  // It stays, and does nothing wrong any more.
  void Stop();
  // It dies, or leaves nothing of what it was behind, and begins anew under another name.
  void Restart();
  // What a group whose coordinator is well does not leave so; "": nothing.
  std::string Unsettled() const;

 private:
  using Partition = cluster::GroupPartition;
  struct Session {
    uint64_t number = 0;
    size_t broker = 0;
    std::shared_ptr<Connection> to, from;
    int64_t proof_us = 0;  // the newest ping that was answered was sent then
  };

  void Tick();
  void Ask();
  void Ping();
  void Work();
  int64_t EndOf(const Partition& partition) const;
  void Commit(const Partition& partition, int64_t offset, int64_t epoch, bool entitled);
  void CommitAsStale();
  void Describe();
  void Release();
  void Leave();
  // To its coordinator.
  void Send(std::function<void(GroupHost&)> arrive);
  void OnTold(const cluster::GroupEffect& effect);
  void OnJoined(const cluster::TellJoined& told);
  void OnAssigned(const cluster::TellAssigned& told);
  void GoOnWith(const cluster::TellAssigned& told);
  void OnEnded(const absl::Status& why);
  void GiveUp(const Partition& partition);
  // It owns nothing any more, and is no member.
  void Over();
  int64_t now_ns() const { return at_.loop.now_us() * 1'000; }

  const size_t number_;
  Surroundings at_;
  const HostId host_;
  services::Membership membership_;
  std::string member_id_;
  int64_t lives_ = 0;
  int64_t session_timeout_ms_ = 0;
  // Of this life.
  uint64_t requester_ = 0;
  int64_t attempts_ = 0;
  int64_t epoch_ = 0;
  int64_t stale_epoch_ = 0;
  std::string stale_id_;
  std::optional<Session> session_;
  std::optional<size_t> coordinator_;
  std::map<Partition, int64_t> reading_;  // and how far
  std::set<Partition> revoking_;
  std::set<Partition> revoking_anew_;
  int64_t idle_until_us_ = 0;
  bool stopped_ = false;
  int64_t commits_since_stop_ = 0;
};

}  // namespace naru::sim
