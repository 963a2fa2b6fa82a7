#include "cluster/group/group_coordinator.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/base/check.h"
#include "storage/base/status.h"
#include "storage/batch/batch.h"
#include "storage/batch/partitioner.h"

namespace naru::cluster {
namespace {

constexpr int64_t kReadBytes = 1 << 20;

absl::Status ShuttingDown() {
  return MakeError(Reason::kShuttingDown, "the broker is shutting down; try again, or another broker");
}

absl::Status NoGroup(std::string_view group) {
  return MakeError(Reason::kGroupNotFound, absl::StrCat("group: there is no group \"", group, "\""));
}

std::shared_ptr<const GroupTopics> TopicsOf(const TopicCatalog& catalog) {
  auto topics = std::make_shared<GroupTopics>();
  for (const auto& [name, info] : catalog.topics) {
    GroupTopic& topic = (*topics)[name];
    NARU_CHECK(info->topic_id.size() == topic.id.size());
    std::copy(info->topic_id.begin(), info->topic_id.end(), topic.id.begin());
    topic.partition_count = info->partition_count();
  }
  return topics;
}

GroupSnapshot SnapshotOf(const std::string& group, const GroupMachine& machine) {
  GroupSnapshot snapshot{.group = group,
                         .state = machine.state(),
                         .epoch = machine.epoch(),
                         .members = {},
                         .offsets = machine.offsets()};
  for (const auto& [id, member] : machine.members()) {
    snapshot.members.push_back({.member_id = id,
                                .instance_id = member.instance_id,
                                .client = member.client,
                                .epoch = member.epoch,
                                .away = member.session == 0,
                                .subscription = member.subscription,
                                .owned = member.owned,
                                .revoking = member.revoking});
  }
  return snapshot;
}

}  // namespace

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

void GroupCoordinator::OpenShards(const TopicCatalog& catalog) {
  const auto topic = catalog.topics.find(kOffsetsTopic);
  if (topic == catalog.topics.end()) return;
  for (const PartitionPlacement& partition : topic->second->partitions) {
    shards_.push_back(std::make_unique<Shard>(*this, shards_.size(), partition.log));
  }
  for (const std::unique_ptr<Shard>& shard : shards_) Load(*shard);
  for (Task& task : std::exchange(homeless_.parked, {})) task();
}

void GroupCoordinator::MakeTopic() {
  if (std::exchange(making_topic_, true)) return;
  {
    absl::MutexLock lock(&mutex_);
    ++store_calls_;
  }
  make_topic_([this](absl::Status status) {
    absl::MutexLock lock(&mutex_);
    --store_calls_;
    queue_.push_back([this, status = std::move(status)] { OnTopicMade(status); });
  });
}

void GroupCoordinator::OnTopicMade(const absl::Status& status) {
  making_topic_ = false;
  if (stopping_) return;
  if (status.ok()) TakeTopics();
  if (!shards_.empty()) return;
  homeless_.broken = status.ok() ? MakeError(Reason::kInternal, "the offsets topic is not there") : status;
  events_.Write(Severity::kError, "offsets_topic_not_made", {{"status", Std(status.message())}});
  for (Task& task : std::exchange(homeless_.parked, {})) task();
  homeless_.broken = absl::OkStatus();  // the next may have more luck
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
  if (state_ != State::kRunning) return ShuttingDown();
  if (queue_.size() < options_.queued_requests_max) return absl::OkStatus();
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
  }
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
  for (const std::unique_ptr<Shard>& shard : shards_) Break(*shard, ShuttingDown());
  homeless_.broken = ShuttingDown();
  for (Task& task : std::exchange(homeless_.parked, {})) task();
  for (auto& [request, done] : std::exchange(requests_, {})) done(ShuttingDown());
  for (auto& [number, session] : std::exchange(sessions_, {})) session.listener->OnEnded(ShuttingDown());
}

void GroupCoordinator::PassTime() {
  const GroupTime now = Now();
  for (const std::unique_ptr<Shard>& shard : shards_) {
    if (shard->reload_at_ms && *shard->reload_at_ms <= now.steady_ms) Load(*shard);
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
    if (shard->ready) at(shard->groups->NextDeadline());
  }
  return next;
}

GroupCoordinator::Shard& GroupCoordinator::ShardOf(std::string_view group) {
  const PartitionId partition = PartitionForKey(group, static_cast<int32_t>(shards_.size()));
  return *shards_[static_cast<size_t>(partition.value())];
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
    if (shards_.empty() && without_topic) return done(*std::move(without_topic));
    WhenReady(group, [this, group, event = std::move(event), done = std::move(done)](Shard& shard) mutable {
      if (!shard.broken.ok()) return done(shard.broken);
      shard.groups->On(group, event(Remember(std::move(done))), Now());
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
      group, [](uint64_t request) { return DeleteGroup{request}; }, std::move(done), NoGroup(group));
}

void GroupCoordinator::Describe(const std::string& group, SnapshotDone done) {
  if (absl::Status refused = Admit(); !refused.ok()) return done(std::move(refused));
  Post([this, group, done = std::move(done)]() mutable {
    if (shards_.empty()) return done(NoGroup(group));
    WhenReady(group, [this, group, done = std::move(done)](Shard& shard) mutable {
      if (!shard.broken.ok()) return done(shard.broken);
      const GroupMachine* machine = shard.groups->Find(group);
      if (machine == nullptr) {
        return done(NoGroup(group));
      }
      // Taken now, told when all that it shows is written.
      shard.groups->Barrier(Remember(
          [snapshot = SnapshotOf(group, *machine), done = std::move(done)](absl::Status status) mutable {
            if (!status.ok()) return done(std::move(status));
            done(std::move(snapshot));
          }));
    });
  });
}

void GroupCoordinator::List(ListingDone done) {
  if (absl::Status refused = Admit(); !refused.ok()) return done(std::move(refused));
  Post([this, done = std::move(done)]() mutable { DoList(std::move(done)); });
}

void GroupCoordinator::DoList(ListingDone done) {
  std::vector<GroupListing> listing;
  for (const std::unique_ptr<Shard>& shard : shards_) {
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

void GroupCoordinator::Load(Shard& shard) {
  shard.reload_at_ms.reset();
  shard.broken = absl::OkStatus();
  shard.groups = std::make_unique<GroupShard>(options_.limits, shard);
  const absl::StatusOr<LogInfo> info = logs_.Info(shard.log);
  if (!info.ok()) return Break(shard, info.status());
  ReadOn(shard, info->log_start);
}

void GroupCoordinator::ReadOn(Shard& shard, Offset from) {
  {
    absl::MutexLock lock(&mutex_);
    ++store_calls_;
  }
  logs_.Read({.log = shard.log, .from = from, .bytes_max = kReadBytes},
             [this, &shard, from](absl::StatusOr<ReadResult> result) {
               absl::MutexLock lock(&mutex_);
               --store_calls_;
               queue_.push_back([this, &shard, from, result = std::move(result)]() mutable {
                 OnLoaded(shard, from, std::move(result));
               });
             });
}

void GroupCoordinator::OnLoaded(Shard& shard, Offset from, absl::StatusOr<ReadResult> result) {
  if (stopping_) return Break(shard, ShuttingDown());
  // Compaction and retention may move the start meanwhile.
  if (ReasonOf(result.status()) == Reason::kOffsetOutOfRange) {
    const absl::StatusOr<LogInfo> info = logs_.Info(shard.log);
    if (info.ok() && info->log_start > from) return ReadOn(shard, info->log_start);
  }
  if (!result.ok()) return Break(shard, result.status());
  if (result->batches.empty()) return Begin(shard);
  if (absl::Status replayed = Replay(shard, *result); !replayed.ok()) return Break(shard, replayed);
  ReadOn(shard, result->batches.back().next_offset);
}

absl::Status GroupCoordinator::Replay(Shard& shard, const ReadResult& result) const {
  for (const StoredBatchView& batch : result.batches) {
    absl::Status replayed;
    NARU_RETURN_IF_ERROR(ForEachRecord(batch.bytes, [&](const RecordView& record) {
      if (record.key) replayed = shard.groups->Replay(*record.key, record.value);
      return replayed.ok();
    }));
    NARU_RETURN_IF_ERROR(replayed);
  }
  return absl::OkStatus();
}

void GroupCoordinator::Begin(Shard& shard) {
  shard.ready = true;
  shard.groups->Start(topics_, Now());
  for (Task& task : std::exchange(shard.parked, {})) task();
}

void GroupCoordinator::Break(Shard& shard, const absl::Status& status) {
  shard.ready = false;
  shard.broken = status;
  // What is not readable will not be; whatever else it was may pass.
  if (ReasonOf(status) != Reason::kCorruptData)
    shard.reload_at_ms = Now().steady_ms + options_.reload_after_ms;
  if (ReasonOf(status) != Reason::kShuttingDown) {
    events_.Write(Severity::kError, "groups_unavailable",
                  {{"partition", shard.index}, {"status", Std(status.message())}});
  }
  for (Task& task : std::exchange(shard.parked, {})) task();
}

void GroupCoordinator::Append(Shard& shard, absl::Cord batch) {
  const BatchLimits limits{.record_bytes_max = kBatchBytesCeiling, .batch_bytes_max = kBatchBytesCeiling};
  const absl::StatusOr<BatchInfo> info = WalkBatch(batch, limits);
  NARU_CHECK_OK(info.status());
  {
    absl::MutexLock lock(&mutex_);
    ++store_calls_;
  }
  logs_.Append({.log = shard.log, .batch = std::move(batch), .info = *info},
               [this, &shard](const absl::StatusOr<Appended>& appended) {
                 absl::MutexLock lock(&mutex_);
                 --store_calls_;
                 queue_.push_back([this, &shard, status = appended.status()] { OnAppended(shard, status); });
               });
}

void GroupCoordinator::OnAppended(Shard& shard, const absl::Status& status) {
  shard.groups->OnAppended(status);
  if (!shard.groups->failed()) return;
  Break(shard, status);
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

void GroupCoordinator::TakeTopics() {
  {
    absl::MutexLock lock(&mutex_);
    topics_changed_ = false;
  }
  const std::shared_ptr<const TopicCatalog> catalog = catalog_.Current();
  std::shared_ptr<const GroupTopics> topics = TopicsOf(*catalog);
  if (*topics == *topics_) return;
  topics_ = std::move(topics);
  if (shards_.empty()) return OpenShards(*catalog);
  for (const std::unique_ptr<Shard>& shard : shards_) {
    if (shard->ready) shard->groups->ChangeTopics(topics_, Now());
  }
}

}  // namespace naru::cluster
