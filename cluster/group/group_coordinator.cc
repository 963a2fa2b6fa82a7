#include "cluster/group/group_coordinator.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cluster/metadata/broker_errors.h"
#include "storage/base/check.h"
#include "storage/base/status.h"
#include "storage/batch/partitioner.h"

namespace naru::cluster {
namespace {

// Whether these offsets take more memory than what is committed there now.
bool Grows(const GroupMachine& group, const CommittedOffsets& offsets) {
  return std::any_of(offsets.begin(), offsets.end(), [&group](const auto& offset) {
    const auto there = group.offsets().find(offset.first);
    return there == group.offsets().end() || offset.second.metadata.size() > there->second.metadata.size();
  });
}

// Whether the group will remember more than it does.
bool Grows(const GroupMachine& group, const GroupEvent& event) {
  if (const auto* join = std::get_if<JoinGroup>(&event)) return !group.IsMember(*join);
  if (const auto* commit = std::get_if<CommitOffsets>(&event)) return Grows(group, commit->offsets);
  if (const auto* reset = std::get_if<ResetOffsets>(&event)) return Grows(group, reset->offsets);
  return false;
}

}  // namespace

absl::Status GroupNotFound(std::string_view group) {
  return MakeError(Reason::kGroupNotFound, absl::StrCat("group: there is no group \"", group, "\""));
}

GroupCoordinator::GroupCoordinator(const GroupCoordinatorOptions& options, LogStore& logs,
                                   CatalogSource& catalog, const Clock& clock, EventLog& events,
                                   MakeOffsetsTopic make_topic)
    : options_(options),
      logs_(logs),
      catalog_(catalog),
      clock_(clock),
      events_(events),
      make_topic_(std::move(make_topic)) {}

GroupCoordinator::~GroupCoordinator() { Stop(); }

void GroupCoordinator::Start() {
  topics_ = std::make_shared<GroupTopics>();
  {
    absl::MutexLock lock(&mutex_);
    NARU_CHECK(state_ == State::kNew);
    state_ = State::kRunning;
  }
  watch_ = catalog_.Watch([this] {
    absl::MutexLock lock(&mutex_);
    if (!std::exchange(topics_changed_, true)) queue_.push_back([this] { TakeTopics(); });
  });
  Post([this] { TakeTopics(); });  // what was there before the watch
  thread_ = std::thread([this] { Run(); });
}

void GroupCoordinator::Stop() {
  if (!thread_.joinable()) return;
  catalog_.CancelWatch(watch_);
  {
    absl::MutexLock lock(&mutex_);
    state_ = State::kStopping;
    woken_ = true;
  }
  thread_.join();
}

void GroupCoordinator::Wake() {
  absl::MutexLock lock(&mutex_);
  woken_ = true;
}

absl::Status GroupCoordinator::Admit() {
  absl::MutexLock lock(&mutex_);
  if (state_ != State::kRunning) return BrokerShuttingDown();
  if (queue_.size() < options_.queued_requests_max) return absl::OkStatus();
  ++refused_;
  return MakeError(
      Reason::kTooManyInFlight,
      absl::StrCat(queue_.size(), " requests to groups wait already, as many as may; try again"));
}

void GroupCoordinator::Post(Task task) {
  absl::MutexLock lock(&mutex_);
  queue_.push_back(std::move(task));
}

void GroupCoordinator::Run() {
  while (true) {
    std::deque<Task> tasks;
    bool stopping = false;
    {
      const std::optional<int64_t> due = NextDeadline();
      absl::MutexLock lock(&mutex_);
      const absl::Duration wait =
          due ? absl::Milliseconds(std::max<int64_t>(0, *due - Now().steady_ms)) : absl::InfiniteDuration();
      mutex_.AwaitWithTimeout(absl::Condition(this, &GroupCoordinator::HasWork), wait);
      tasks.swap(queue_);
      woken_ = false;
      stopping = state_ == State::kStopping;
    }
    for (Task& task : tasks) task();
    if (stopping) return ShutDown();
    PassTime();
    PublishStats();
  }
}

void GroupCoordinator::PublishStats() {
  GroupShardStats groups;
  int64_t count = 0;
  int64_t bytes = 0;
  for (const std::unique_ptr<Shard>& shard : shards_) {
    groups += shard->before;
    groups += shard->groups->stats();
    count += std::ssize(shard->groups->groups());
    bytes += shard->groups->bytes();
  }
  absl::MutexLock lock(&mutex_);
  stats_.groups = groups;
  stats_.count = count;
  stats_.bytes = bytes;
  stats_.sessions = static_cast<int64_t>(sessions_.size());
  stats_.reloads = reloads_;
}

GroupCoordinatorStats GroupCoordinator::Stats() const {
  absl::MutexLock lock(&mutex_);
  GroupCoordinatorStats stats = stats_;
  stats.queued = static_cast<int64_t>(queue_.size());
  stats.requests_refused = refused_;
  return stats;
}

// Nothing new comes any more but the completions of the store, which are waited for.
void GroupCoordinator::ShutDown() {
  stopping_ = true;
  while (true) {
    std::deque<Task> tasks;
    {
      absl::MutexLock lock(&mutex_);
      const auto done = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return store_calls_ == 0 || !queue_.empty();
      };
      mutex_.Await(absl::Condition(&done));
      tasks.swap(queue_);
      if (tasks.empty()) break;
    }
    for (Task& task : tasks) task();
  }
  for (const std::unique_ptr<Shard>& shard : shards_) Break(*shard, BrokerShuttingDown());
  homeless_.broken = BrokerShuttingDown();
  for (Task& task : std::exchange(homeless_.parked, {})) task();
  for (auto& [request, done] : std::exchange(requests_, {})) done(BrokerEndedMeanwhile());
  for (auto& [number, session] : std::exchange(sessions_, {}))
    session.listener->OnEnded(BrokerShuttingDown());
}

void GroupCoordinator::PassTime() {
  const GroupTime now = Now();
  for (const std::unique_ptr<Shard>& shard : shards_) {
    if (shard->reload_at_ms && *shard->reload_at_ms <= now.steady_ms) {
      ++reloads_;
      Load(*shard);
    }
    if (shard->ready) KeepConfirmed(*shard);
    if (shard->ready) shard->groups->PassTime(now);
  }
}

std::optional<int64_t> GroupCoordinator::NextDeadline() const {
  std::optional<int64_t> next;
  const auto at = [&next](std::optional<int64_t> due) {
    if (due) next = std::min(next.value_or(*due), *due);
  };
  for (const std::unique_ptr<Shard>& shard : shards_) {
    at(shard->reload_at_ms);
    at(NextConfirm(*shard));
    if (shard->ready) at(shard->groups->NextDeadline());
  }
  return next;
}

GroupCoordinator::Shard& GroupCoordinator::ShardOf(std::string_view group) {
  const PartitionId partition = PartitionForKey(group, static_cast<int32_t>(shards_.size()));
  return *shards_[static_cast<size_t>(partition.value())];
}

absl::Status GroupCoordinator::CheckRoom(const Shard& shard, const std::string& group,
                                         const GroupEvent& event) const {
  const GroupMachine* machine = shard.groups->Find(group);
  if (machine != nullptr && !Grows(*machine, event)) return absl::OkStatus();
  int64_t bytes = 0;
  for (const std::unique_ptr<Shard>& one : shards_) bytes += one->groups->bytes();
  if (bytes >= options_.memory_bytes) {
    return MakeError(
        Reason::kGroupMemoryFull,
        absl::StrCat("group: groups take ", bytes, " bytes of memory, of ", options_.memory_bytes,
                     " that they may; stop members, or delete groups that nobody needs"),
        {{"limit_bytes", absl::StrCat(options_.memory_bytes)}});
  }
  if (machine != nullptr) return absl::OkStatus();
  int64_t count = 0;
  for (const std::unique_ptr<Shard>& one : shards_) count += std::ssize(one->groups->groups());
  if (count < options_.groups_max) return absl::OkStatus();
  return MakeError(Reason::kTooManyGroups,
                   absl::StrCat("group: there are ", count, " groups, which is the limit; delete some first"),
                   {{"limit", absl::StrCat(options_.groups_max)}});
}

void GroupCoordinator::WhenReady(const std::string& group, absl::AnyInvocable<void(Shard&)> task) {
  if (shards_.empty()) {
    homeless_.parked.push_back([this, group, task = std::move(task)]() mutable {
      if (!homeless_.broken.ok()) return task(homeless_);
      WhenReady(group, std::move(task));
    });
    return MakeTopic();
  }
  Shard& shard = ShardOf(group);
  if (shard.ready || !shard.broken.ok()) return task(shard);
  shard.parked.push_back([&shard, task = std::move(task)]() mutable { task(shard); });
}

uint64_t GroupCoordinator::Join(const std::string& group, JoinGroup join,
                                std::shared_ptr<GroupListener> listener) {
  NARU_CHECK(!join.member_id.empty());
  {
    absl::MutexLock lock(&mutex_);
    join.session = next_session_++;
  }
  if (absl::Status refused = Admit(); !refused.ok()) {
    listener->OnEnded(refused);
    return join.session;
  }
  const uint64_t session = join.session;
  Post([this, group, join = std::move(join), listener = std::move(listener)]() mutable {
    sessions_[join.session] = {std::move(listener), group};
    WhenReady(group, [this, group, join = std::move(join)](Shard& shard) {
      if (!sessions_.contains(join.session)) return;  // it is gone again
      if (!shard.broken.ok()) return Tell(EndSession{join.session, shard.broken});
      if (absl::Status room = CheckRoom(shard, group, join); !room.ok())
        return Tell(EndSession{join.session, room});
      shard.groups->On(group, join, Now());
    });
  });
  return session;
}

void GroupCoordinator::EndOf(uint64_t session, absl::AnyInvocable<GroupEvent()> event) {
  Post([this, session, event = std::move(event)]() mutable {
    const auto it = sessions_.find(session);
    if (it == sessions_.end()) return;
    const std::string group = it->second.group;
    sessions_.erase(it);
    if (shards_.empty()) return;  // it had not joined
    const Shard& shard = ShardOf(group);
    if (shard.ready) shard.groups->On(group, event(), Now());
  });
}

void GroupCoordinator::Lose(uint64_t session) {
  EndOf(session, [session] { return LoseSession{session}; });
}

void GroupCoordinator::CutOff(uint64_t session) {
  EndOf(session, [session] { return LoseSession{.session = session, .unheard = true}; });
}

void GroupCoordinator::Leave(uint64_t session) {
  EndOf(session, [session] { return LeaveGroup{.session = session}; });
}

void GroupCoordinator::Release(uint64_t session, std::set<GroupPartition> partitions) {
  Post([this, session, partitions = std::move(partitions)]() mutable {
    const auto it = sessions_.find(session);
    if (it == sessions_.end() || shards_.empty()) return;
    const Shard& shard = ShardOf(it->second.group);
    if (!shard.ready) return;
    shard.groups->On(it->second.group, ReleasePartitions{session, std::move(partitions)}, Now());
  });
}

uint64_t GroupCoordinator::Remember(Done done) {
  requests_.emplace(next_request_, std::move(done));
  return next_request_++;
}

void GroupCoordinator::Ask(const std::string& group, absl::AnyInvocable<GroupEvent(uint64_t)> event,
                           Done done, std::optional<absl::Status> without_topic) {
  if (absl::Status refused = Admit(); !refused.ok()) return done(std::move(refused));
  Post([this, group, event = std::move(event), done = std::move(done),
        without_topic = std::move(without_topic)]() mutable {
    if (shards_.empty() && without_topic) {
      return done(options_.in_cluster ? NotGroupCoordinator() : *std::move(without_topic));
    }
    const bool makes = !without_topic;
    WhenReady(group,
              [this, group, makes, event = std::move(event), done = std::move(done)](Shard& shard) mutable {
                if (!shard.broken.ok()) return done(shard.broken);
                const uint64_t request = Remember(std::move(done));
                const GroupEvent asked = event(request);
                const absl::Status room = makes ? CheckRoom(shard, group, asked) : absl::OkStatus();
                if (!room.ok()) return Tell(Answer{request, room});
                shard.groups->On(group, asked, Now());
              });
  });
}

void GroupCoordinator::Commit(const std::string& group, CommitOffsets commit, Done done) {
  Ask(
      group,
      [commit = std::move(commit)](uint64_t request) mutable {
        commit.request = request;
        return std::move(commit);
      },
      std::move(done));
}

void GroupCoordinator::Remove(const std::string& group, LeaveGroup leave, Done done) {
  Ask(
      group,
      [leave = std::move(leave)](uint64_t request) mutable {
        leave.request = request;
        leave.session = 0;
        return std::move(leave);
      },
      std::move(done), absl::OkStatus());
}

void GroupCoordinator::Reset(const std::string& group, ResetOffsets reset, Done done) {
  Ask(
      group,
      [reset = std::move(reset)](uint64_t request) mutable {
        reset.request = request;
        return std::move(reset);
      },
      std::move(done));
}

void GroupCoordinator::Delete(const std::string& group, Done done) {
  Ask(
      group, [](uint64_t request) { return DeleteGroup{request}; }, std::move(done), GroupNotFound(group));
}

void GroupCoordinator::Describe(const std::string& group, SnapshotDone done) {
  if (absl::Status refused = Admit(); !refused.ok()) return done(std::move(refused));
  Post([this, group, done = std::move(done)]() mutable {
    if (shards_.empty()) return done(options_.in_cluster ? NotGroupCoordinator() : GroupNotFound(group));
    WhenReady(group, [this, group, done = std::move(done)](Shard& shard) mutable {
      if (!shard.broken.ok()) return done(shard.broken);
      const GroupMachine* machine = shard.groups->Find(group);
      if (machine == nullptr) return TellSurely(shard, GroupNotFound(group), std::move(done));
      // Taken now, told when all that it shows is written.
      auto written = [this, &shard, snapshot = SnapshotOf(group, *machine),
                      done = std::move(done)](absl::Status status) mutable {
        if (!status.ok()) return done(std::move(status));
        TellSurely(shard, std::move(snapshot), std::move(done));
      };
      shard.groups->Barrier(Remember(std::move(written)), Now());
    });
  });
}

void GroupCoordinator::TellSurely(const Shard& shard, absl::StatusOr<GroupSnapshot> snapshot,
                                  SnapshotDone done) const {
  if (!options_.confirm) return done(std::move(snapshot));
  options_.confirm(shard.log, shard.leader_epoch,
                   [snapshot = std::move(snapshot), done = std::move(done)](bool leads) mutable {
                     if (!leads) return done(NotGroupCoordinator());
                     done(std::move(snapshot));
                   });
}

void GroupCoordinator::List(ListingDone done) {
  if (absl::Status refused = Admit(); !refused.ok()) return done(std::move(refused));
  Post([this, done = std::move(done)]() mutable { DoList(std::move(done)); });
}

void GroupCoordinator::DoList(ListingDone done) {
  std::vector<GroupListing> listing;
  for (const std::unique_ptr<Shard>& shard : shards_) {
    if (!shard->led) continue;
    if (!shard->broken.ok()) return done(shard->broken);
    if (!shard->ready) {
      shard->parked.push_back([this, done = std::move(done)]() mutable { DoList(std::move(done)); });
      return;
    }
    for (const auto& [name, machine] : shard->groups->groups()) {
      listing.push_back({name, machine->state(), machine->members().size()});
    }
  }
  std::sort(listing.begin(), listing.end(), [](const auto& a, const auto& b) { return a.group < b.group; });
  done(std::move(listing));
}

void GroupCoordinator::Survey(SurveyDone done) {
  if (absl::Status refused = Admit(); !refused.ok()) return done(std::move(refused));
  Post([this, done = std::move(done)]() mutable {
    std::vector<GroupSnapshot> groups;
    for (const std::unique_ptr<Shard>& shard : shards_) {
      if (!shard->ready) continue;
      for (const auto& [name, machine] : shard->groups->groups())
        groups.push_back(SnapshotOf(name, *machine));
    }
    done(std::move(groups));
  });
}

void GroupCoordinator::Tell(const GroupEffect& effect) {
  if (const auto* answer = std::get_if<Answer>(&effect)) {
    const auto it = requests_.find(answer->request);
    Done done = std::move(it->second);
    requests_.erase(it);
    return done(answer->status);
  }
  std::visit(
      [this](const auto& said) {
        using Effect = std::decay_t<decltype(said)>;
        if constexpr (!std::is_same_v<Effect, Persist> && !std::is_same_v<Effect, Answer>) {
          const auto it = sessions_.find(said.session);
          if (it == sessions_.end()) return;  // lost, or left
          const std::shared_ptr<GroupListener> listener = it->second.listener;
          if constexpr (std::is_same_v<Effect, TellJoined>) {
            listener->OnJoined(said.member_id, said.member_epoch);
          } else if constexpr (std::is_same_v<Effect, TellAssigned>) {
            listener->OnAssigned(said.partitions);
          } else if constexpr (std::is_same_v<Effect, TellRevoking>) {
            listener->OnRevoking(said.partitions);
          } else {
            sessions_.erase(it);
            listener->OnEnded(said.why);
          }
        }
      },
      effect);
}

}  // namespace naru::cluster
