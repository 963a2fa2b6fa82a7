#include "cluster/broker/replica_host.h"

#include <algorithm>
#include <set>
#include <utility>
#include <variant>

#include "storage/base/check.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"
#include "storage/log/log_state.h"

namespace naru::cluster {

ReplicaHost::ReplicaHost(const ReplicaHostOptions& options, BrokerId self, LogStore& store, Links& links,
                         LogFronts& fronts, EventLoop& loop, EventLog& events, ToCoordinator coordinator)
    : options_(options),
      self_(self),
      store_(store),
      fronts_(fronts),
      loop_(loop),
      events_(events),
      coordinator_(std::move(coordinator)),
      leaders_(*this),
      followers_(*this, links) {
  // Followers copy what is written while this broker's disk takes it in.
  store_.OnWritten([this](const std::vector<LogId>& logs) { OnStoreWritten(logs); });
}

ReplicaHost::~ReplicaHost() { store_.OnWritten(nullptr); }

void ReplicaHost::OnStoreWritten(const std::vector<LogId>& logs) {
  std::vector<LogId> led;
  for (const LogId log : logs) {
    if (fronts_.Find(log)) led.push_back(log);
  }
  if (led.empty()) return;
  loop_.Post([this, led = std::move(led)] {
    for (const LogId log : led) {
      HostedReplica* part = stopped_ ? nullptr : Find(log);
      if (part != nullptr && part->replica != nullptr) leaders_.Serve(*part);
    }
  });
}

HostedReplica* ReplicaHost::Find(LogId log) {
  const auto found = replicas_.find(log);
  return found == replicas_.end() ? nullptr : &found->second;
}

template <typename Task>
auto ReplicaHost::OnLoop(LogId log, Task task) {
  return [this, log, registration = registration_, task = std::move(task)](auto result) mutable {
    absl::Status status;
    if constexpr (std::is_same_v<decltype(result), absl::Status>) {
      status = std::move(result);
    } else {
      status = result.status();
    }
    loop_.Post([this, log, registration, status = std::move(status), task = std::move(task)]() mutable {
      HostedReplica* part = registration == registration_ && !stopped_ ? Find(log) : nullptr;
      if (part != nullptr && part->replica != nullptr) task(*part, status);
    });
  };
}

// --- What is assigned.

void ReplicaHost::Register(BrokerEpoch epoch) {
  const std::map<LogId, HostedReplica> before = std::exchange(replicas_, {});
  logs_.clear();
  proposed_.clear();
  followers_.Reset();
  ++registration_;
  epoch_ = epoch;
  for (const auto& [log, part] : before) fronts_.Set(log, std::nullopt, Offset(0));
  for (auto& [log, part] : const_cast<std::map<LogId, HostedReplica>&>(before)) {
    for (auto& [offset, append] : part.appends) append.done(LeaderChanged());
    for (auto& move : part.moves) move.done(LeaderChanged());
    for (auto& [question, done] : part.confirming) done(false);
  }
}

void ReplicaHost::Assign(const ClusterMetadata& metadata, const MetadataDifference& difference) {
  unfenced_.clear();
  for (const auto& [broker, record] : metadata.brokers) {
    if (!record.fenced) unfenced_.insert(broker);
    if (broker != self_) followers_.SetAddress(broker, record.peer_address);
  }
  std::vector<LogId> missing;
  if (difference.complete) {
    DeleteOrphans(metadata);
    for (const auto& [name, topic] : metadata.topics) AssignTopic(metadata, *topic, missing);
  } else {
    for (const std::string& name : difference.topics) {
      const auto topic = metadata.topics.find(name);
      if (topic != metadata.topics.end()) AssignTopic(metadata, *topic->second, missing);
    }
    const bool removed =
        std::any_of(difference.topics.begin(), difference.topics.end(),
                    [&](const std::string& name) { return !metadata.topics.contains(name); });
    if (removed) DeleteOrphans(metadata);
  }
  if (!missing.empty()) CreateLogs(std::move(missing));
}

void ReplicaHost::AssignTopic(const ClusterMetadata& metadata, const TopicInfo& topic,
                              std::vector<LogId>& missing) {
  const TopicId id = ToTopicId(topic);
  const LogSettings settings = topic.config.ToLogSettings();
  for (int32_t i = 0; i < topic.partition_count(); ++i) {
    const auto state = metadata.partitions.find({id, i});
    if (state == metadata.partitions.end() || !state->second.Holds(self_)) continue;
    const LogId log = topic.partitions[static_cast<size_t>(i)].log;
    const auto [at, made] = replicas_.try_emplace(log);
    HostedReplica& part = at->second;
    if (made) {
      part.partition = {id, i};
      part.log = log;
      logs_[part.partition] = log;
      part.log_exists = store_.Info(log).ok();
      if (!part.log_exists) missing.push_back(log);
    }
    part.assigned = state->second;
    part.version = metadata.head;
    if (!part.log_exists) continue;
    (void)store_.Configure(log, settings);
    OnLogExists(part);
  }
}

void ReplicaHost::CreateLogs(std::vector<LogId> logs) {
  std::vector<LogId> made = logs;
  store_.CreateLogs(std::move(logs),
                    [this, registration = registration_, made = std::move(made)](const absl::Status& status) {
                      loop_.Post([this, registration, made, status] {
                        if (registration != registration_ || stopped_) return;
                        if (!status.ok()) {
                          events_.Write(Severity::kError, "logs_not_made",
                                        {{"logs", made.size()}, {"error", status.ToString()}});
                          return;
                        }
                        for (const LogId log : made) {
                          HostedReplica* part = Find(log);
                          if (part == nullptr || std::exchange(part->log_exists, true)) continue;
                          OnLogExists(*part);
                        }
                      });
                    });
}

// Of topics that are gone; and of those that were made when this broker was not there to hear of their end.
void ReplicaHost::DeleteOrphans(const ClusterMetadata& metadata) {
  std::set<LogId> wanted;
  for (const auto& [name, topic] : metadata.topics) {
    for (const PartitionPlacement& partition : topic->partitions) wanted.insert(partition.log);
  }
  std::vector<LogId> orphans;
  for (const LogId log : store_.Logs()) {
    if (!wanted.contains(log)) orphans.push_back(log);
  }
  std::vector<LogId> dropped;
  for (const auto& [log, part] : replicas_) {
    if (!wanted.contains(log)) dropped.push_back(log);
  }
  for (const LogId log : dropped) DropReplica(log);
  if (orphans.empty()) return;
  events_.Write(Severity::kInfo, "logs_deleted", {{"logs", orphans.size()}});
  store_.DeleteLogs(std::move(orphans), [](const absl::Status&) {});
}

void ReplicaHost::DropReplica(LogId log) {
  auto part = replicas_.extract(log);
  if (!part) return;
  logs_.erase(part.mapped().partition);
  damaged_.erase(log);
  followers_.Leave(part.mapped());
  fronts_.Set(log, std::nullopt, Offset(0));
  for (auto& [offset, append] : part.mapped().appends) append.done(LogNotFound(log));
  for (auto& move : part.mapped().moves) move.done(LogNotFound(log));
  for (auto& [question, done] : part.mapped().confirming) done(false);
}

void ReplicaHost::OnLogExists(HostedReplica& part) {
  if (part.replica == nullptr) {
    part.view = std::make_unique<HandedLog>(store_, part.log);
    part.replica = std::make_unique<Replica>(self_, epoch_, options_.replication, rules_);
  }
  ApplyState(part, part.assigned, part.version);
  if (damaged_.contains(part.log)) Do(part, part.replica->OnDamaged(loop_.NowMs()));
}

void ReplicaHost::ApplyState(HostedReplica& part, const PartitionState& state, int64_t version) {
  const ReplicaEffects effects = part.replica->OnAssigned(state, version, *part.view, loop_.NowMs());
  const LeaderEpoch epoch = part.replica->leader_epoch();
  if (epoch > part.epoch_asked) {
    followers_.Leave(part);
    Settle(part);  // nothing is appended here any more before the next epoch begins
    part.epoch_asked = epoch;
    // A log that follows takes no appends of the epoch before, from calls that have not heard of this one.
    if (part.replica->role() != Replica::Role::kStarting) BeginEpoch(part, epoch);
  }
  Do(part, effects);
}

void ReplicaHost::BeginEpoch(HostedReplica& part, LeaderEpoch epoch) {
  store_.BeginEpoch(
      part.log, epoch, OnLoop(part.log, [this, epoch](HostedReplica& own, const absl::Status& status) {
        if (status.ok()) return OnEpochBegun(own, epoch);
        events_.Write(
            Severity::kError, "epoch_not_begun",
            {{"log", own.log.value()}, {"leader_epoch", epoch.value()}, {"error", status.ToString()}});
      }));
}

void ReplicaHost::OnEpochBegun(HostedReplica& part, LeaderEpoch epoch) {
  // What was handed over before it has taken effect by now, or was refused: then this replica must not count
  // it as its own. A leader that did would let a follower keep it, and both would write at the same offsets.
  part.view->Settle();
  part.epoch_begun = std::max(part.epoch_begun, epoch);
  if (epoch != part.replica->leader_epoch()) return;
  if (part.replica->role() == Replica::Role::kStarting) {
    Do(part, part.replica->OnEpochBegun(epoch, *part.view, loop_.NowMs()));
    ++elections_;
    leaders_.ServeEarly(part);
  } else {
    followers_.Fetch(part);
  }
}

// --- What replicas want.

void ReplicaHost::Do(HostedReplica& part, const ReplicaEffects& effects, ReplicaAppendRequest fetched) {
  for (const ReplicaEffect& effect : effects) {
    if (const auto* begin = std::get_if<cluster::BeginEpoch>(&effect)) {
      BeginEpoch(part, begin->epoch);
    } else if (const auto* cut = std::get_if<TruncateLog>(&effect)) {
      Cut(part, *cut);
    } else if (const auto* reset = std::get_if<ResetLog>(&effect)) {
      Reset(part, *reset);
    } else if (const auto* move = std::get_if<MoveLogStart>(&effect)) {
      MoveStart(part, move->start);
    } else if (const auto* propose = std::get_if<ProposeIsr>(&effect)) {
      const int64_t attempt = propose->proposal.attempt;
      if (coordinator_.propose(part.partition, propose->proposal)) {
        proposed_[part.partition] = attempt;
      } else {
        part.replica->OnIsrAnswer(attempt, IsrOutcome::kRefused, loop_.NowMs());
      }
    } else if (const auto* report = std::get_if<cluster::ReportDamage>(&effect)) {
      coordinator_.report_damage(part.partition, report->leader_epoch);
    } else if (!fetched.batches.empty()) {
      Append(part, std::move(fetched));
    }
  }
  Settle(part);
}

void ReplicaHost::Cut(HostedReplica& part, const TruncateLog& cut) {
  events_.Write(Severity::kInfo, "log_truncated",
                {{"log", part.log.value()},
                 {"end", cut.end.value()},
                 {"leader_epoch", part.replica->leader_epoch().value()}});
  const LeaderEpoch epoch = part.replica->leader_epoch();
  store_.Truncate(part.log, cut.end,
                  OnLoop(part.log, [this, epoch](HostedReplica& own, const absl::Status& status) {
                    if (!status.ok()) return;
                    own.view->Settle();
                    own.replica->OnTruncated(epoch, *own.view);
                    followers_.Fetch(own);
                  }));
}

void ReplicaHost::Reset(HostedReplica& part, const ResetLog& reset) {
  events_.Write(Severity::kWarning, "log_reset",
                {{"log", part.log.value()},
                 {"start", reset.start.value()},
                 {"leader_epoch", part.replica->leader_epoch().value()}});
  const LeaderEpoch epoch = part.replica->leader_epoch();
  store_.Reset(
      part.log, reset.start, reset.producers,
      OnLoop(part.log, [this, epoch, start = reset.start](HostedReplica& own, const absl::Status& status) {
        if (!status.ok()) return;
        own.view->Settle();
        own.view->StartIsDurable(start);
        own.replica->OnTruncated(epoch, *own.view);
        if (!own.replica->damaged()) damaged_.erase(own.log);
        followers_.Fetch(own);
      }));
}

void ReplicaHost::MoveStart(HostedReplica& part, Offset start) {
  start = std::min(start, part.view->Positions().durable_end);
  store_.MoveLogStart(part.log, start,
                      OnLoop(part.log, [this, start](HostedReplica& own, const absl::Status& status) {
                        if (!status.ok()) return;
                        own.view->StartIsDurable(start);
                        Settle(own);
                        followers_.Fetch(own);
                      }));
}

void ReplicaHost::Append(HostedReplica& part, ReplicaAppendRequest fetched) {
  part.view->Hand(fetched.batches);
  ++part.appends_in_flight;
  store_.AppendAsReplica(std::move(fetched),
                         OnLoop(part.log, [this](HostedReplica& own, const absl::Status& status) {
                           OnReplicaAppended(own, status);
                         }));
}

void ReplicaHost::OnReplicaAppended(HostedReplica& part, const absl::Status& status) {
  --part.appends_in_flight;
  if (!status.ok()) {
    part.append_failed = true;
    if (!std::exchange(part.append_failure_told, true)) {
      events_.Write(Severity::kError, "replica_append_failed",
                    {{"log", part.log.value()}, {"error", status.ToString()}});
    }
  } else if (std::exchange(part.append_failure_told, false)) {
    events_.Write(Severity::kInfo, "replica_appends_again", {{"log", part.log.value()}});
  }
  if (part.append_failed && part.appends_in_flight == 0) {
    // What is there is there; the rest is fetched again, but not at once: the disk may be full.
    part.view->Settle();
    loop_.After(options_.tick_ms, [this, log = part.log] {
      HostedReplica* own = Find(log);
      if (own == nullptr || own->appends_in_flight > 0 || own->view == nullptr) return;
      own->append_failed = false;
      // The fetch that waits at the leader begins behind what was refused.
      own->fetch_sent = false;
      own->last_fetch.reset();
      followers_.Fetch(*own);
    });
    return;
  }
  OnDurable(part);
}

void ReplicaHost::OnDurable(HostedReplica& part) {
  part.replica->OnDurable(*part.view);
  Settle(part);
  followers_.Fetch(part);
  leaders_.Serve(part);
}

// --- The coordinator's answers, and time.

void ReplicaHost::OnIsrAnswer(const TopicPartition& partition, int64_t attempt, IsrOutcome outcome,
                              const PartitionState* state, int64_t version) {
  const auto log = logs_.find(partition);
  HostedReplica* part = log == logs_.end() ? nullptr : Find(log->second);
  if (part == nullptr || part->replica == nullptr) return;
  if (const auto sent = proposed_.find(partition); sent != proposed_.end() && sent->second == attempt) {
    proposed_.erase(sent);
  }
  if (state != nullptr) ApplyState(*part, *state, version);
  part->replica->OnIsrAnswer(attempt, outcome, loop_.NowMs());
  Settle(*part);
}

void ReplicaHost::OnCoordinatorLost() {
  for (const auto& [partition, attempt] : std::exchange(proposed_, {})) {
    const auto log = logs_.find(partition);
    HostedReplica* part = log == logs_.end() ? nullptr : Find(log->second);
    if (part == nullptr || part->replica == nullptr) continue;
    part->replica->OnIsrAnswer(attempt, IsrOutcome::kUnknown, loop_.NowMs());
  }
}

void ReplicaHost::Tick() {
  for (auto& [log, part] : replicas_) {
    if (part.replica == nullptr) continue;
    if (part.replica->leader() == nullptr && !part.replica->damaged()) continue;
    Do(part, part.replica->Tick(*part.view, loop_.NowMs()));
    leaders_.Tell(part);
    if (!part.confirmations.empty()) SettleConfirmations(part);
  }
}

void ReplicaHost::Flush() {
  leaders_.Flush();
  followers_.Flush();
}

void ReplicaHost::Shutdown() {
  Register(epoch_);
  stopped_ = true;
  leaders_.EndAll();
}

ReplicaHost::Gauges ReplicaHost::Count() const {
  Gauges gauges{.replicas = static_cast<int64_t>(replicas_.size()),
                .elections = elections_,
                .catch_up_bytes = leaders_.catch_up_bytes(),
                .catch_up_waiting = leaders_.catch_up_waiting()};
  for (const auto& [log, part] : replicas_) {
    gauges.damaged += damaged_.contains(log) ? 1 : 0;
    const PartitionLeader* leader = part.replica ? part.replica->leader() : nullptr;
    if (leader == nullptr) continue;
    ++gauges.led;
    gauges.under_replicated += leader->state().isr.size() < leader->state().replicas.size() ? 1 : 0;
    gauges.under_min_isr += leader->may_commit() ? 0 : 1;
    const Offset end = part.view->Positions().end;
    for (const auto& [broker, follower] : leader->followers()) {
      gauges.lag_offsets_max = std::max(gauges.lag_offsets_max, end - follower.durable_end);
    }
  }
  return gauges;
}

}  // namespace naru::cluster
