// GroupCoordinator's part towards the log: the internal topic, reading its partitions, writing to them.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cluster/group/group_coordinator.h"
#include "cluster/metadata/broker_errors.h"
#include "storage/base/check.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"
#include "storage/batch/batch.h"

namespace naru::cluster {
namespace {

constexpr int64_t kReadBytes = 1 << 20;
constexpr int64_t kLoadLaterMs = 20;

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

}  // namespace

absl::Status NotGroupCoordinator() {
  return MakeError(Reason::kNotCoordinator, "this broker does not coordinate the group; nothing was done");
}

void GroupCoordinator::OpenShards(const TopicCatalog& catalog) {
  const auto topic = catalog.topics.find(kOffsetsTopic);
  if (topic == catalog.topics.end()) return;
  for (const PartitionPlacement& partition : topic->second->partitions) {
    shards_.push_back(std::make_unique<Shard>(*this, shards_.size(), partition.log));
  }
  for (const std::unique_ptr<Shard>& shard : shards_) {
    shard->groups = std::make_unique<GroupShard>(options_.limits, *shard);
    shard->broken = NotGroupCoordinator();
  }
  FollowLeaders(catalog);
  for (Task& task : std::exchange(homeless_.parked, {})) task();
}

void GroupCoordinator::FollowLeaders(const TopicCatalog& catalog) {
  const auto topic = catalog.topics.find(kOffsetsTopic);
  for (const std::unique_ptr<Shard>& shard : shards_) {
    const bool there = topic != catalog.topics.end() && topic->second->partitions.size() > shard->index;
    const PartitionPlacement placement =
        there ? topic->second->partitions[shard->index] : PartitionPlacement();
    const bool leads = there && placement.log == shard->log && placement.leader == catalog.self;
    if (leads == shard->led && (!leads || placement.leader_epoch == shard->placed_epoch)) continue;
    if (shard->led) GiveUp(*shard);
    shard->led = leads;
    shard->placed_epoch = placement.leader_epoch;
    if (leads) Load(*shard);
  }
}

void GroupCoordinator::GiveUp(Shard& shard) {
  ++shard.generation;
  shard.reload_at_ms.reset();
  shard.groups->GiveUp(NotGroupCoordinator());
  Break(shard, NotGroupCoordinator());
}

void GroupCoordinator::MakeTopic() {
  if (std::exchange(making_topic_, true)) return;
  BeginCall();
  make_topic_(
      [this](absl::Status status) { EndCall([this, status = std::move(status)] { OnTopicMade(status); }); });
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

void GroupCoordinator::Load(Shard& shard) {
  shard.reload_at_ms.reset();
  shard.broken = absl::OkStatus();
  shard.ready = shard.loaded = false;
  ++shard.generation;
  if (shard.groups != nullptr) shard.before += shard.groups->stats();
  shard.groups = std::make_unique<GroupShard>(options_.limits, shard);
  const absl::StatusOr<LogInfo> info = logs_.Info(shard.log);
  if (ReasonOf(info.status()) == Reason::kNoLeader) return LoadLater(shard);
  if (!info.ok()) return Break(shard, info.status());
  shard.leader_epoch = info->leader_epoch;
  ReadOn(shard, info->log_start);
}

void GroupCoordinator::LoadLater(Shard& shard) { shard.reload_at_ms = Now().steady_ms + kLoadLaterMs; }

void GroupCoordinator::ReadOn(Shard& shard, Offset from) {
  BeginCall();
  logs_.Read({.log = shard.log, .from = from, .bytes_max = kReadBytes},
             [this, &shard, generation = shard.generation, from](absl::StatusOr<ReadResult> result) {
               EndCall([this, &shard, generation, from, result = std::move(result)]() mutable {
                 OnLoaded(shard, generation, from, std::move(result));
               });
             });
}

void GroupCoordinator::OnLoaded(Shard& shard, uint64_t generation, Offset from,
                                absl::StatusOr<ReadResult> result) {
  if (generation != shard.generation) return;
  if (stopping_) return Break(shard, BrokerShuttingDown());
  // Compaction and retention may move the start meanwhile.
  if (ReasonOf(result.status()) == Reason::kOffsetOutOfRange) {
    const absl::StatusOr<LogInfo> info = logs_.Info(shard.log);
    if (info.ok() && info->log_start > from) return ReadOn(shard, info->log_start);
  }
  if (ReasonOf(result.status()) == Reason::kNoLeader) return LoadLater(shard);
  if (!result.ok()) return Break(shard, result.status());
  if (result->batches.empty()) return OnReadToEnd(shard, from);
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

void GroupCoordinator::OnReadToEnd(Shard& shard, Offset end) {
  if (!options_.confirm) return Begin(shard);
  // What this broker wrote before it gave the groups up may yet be committed.
  const absl::StatusOr<LogInfo> info = logs_.Info(shard.log);
  if (!info.ok() || info->end > end) return LoadLater(shard);
  shard.loaded = true;
  shard.confirming = false;
  Confirm(shard);
}

void GroupCoordinator::Confirm(Shard& shard) {
  if (std::exchange(shard.confirming, true)) return;
  shard.asked_ms = Now().steady_ms;
  BeginCall();
  options_.confirm(shard.log, shard.leader_epoch,
                   [this, &shard, generation = shard.generation, asked_ms = shard.asked_ms](bool leads) {
                     EndCall([this, &shard, generation, asked_ms, leads] {
                       if (generation == shard.generation) OnConfirmed(shard, asked_ms, leads);
                     });
                   });
}

void GroupCoordinator::OnConfirmed(Shard& shard, int64_t asked_ms, bool coordinates) {
  shard.confirming = false;
  if (stopping_) return;
  if (coordinates) shard.confirmed_ms = std::max(shard.confirmed_ms, asked_ms);
  // Ready, or broken meanwhile.
  if (!shard.loaded) return;
  if (coordinates) return Begin(shard);
  LoadLater(shard);
}

std::optional<int64_t> GroupCoordinator::NextConfirm(const Shard& shard) const {
  if (!options_.confirm || !shard.ready || shard.groups->groups().empty()) return std::nullopt;
  const int64_t lost_ms = shard.confirmed_ms + options_.unconfirmed_ms_max;
  return shard.confirming ? lost_ms : std::min(lost_ms, shard.asked_ms + options_.confirm_every_ms);
}

// Rule 19, 20: who is cut off may be deposed; its members have to hear of it before the next coordinator
// takes what they own from them.
void GroupCoordinator::KeepConfirmed(Shard& shard) {
  const int64_t now_ms = Now().steady_ms;
  // Whoever joins has to be written down first, and what was written was confirmed.
  if (shard.groups->groups().empty()) shard.confirmed_ms = now_ms;
  const std::optional<int64_t> due_ms = NextConfirm(shard);
  if (!due_ms || *due_ms > now_ms) return;
  if (now_ms >= shard.confirmed_ms + options_.unconfirmed_ms_max) {
    const absl::Status unsure = MakeError(
        Reason::kCoordinatorLoading, "the group's coordinator cannot reach those who may have taken over");
    ++shard.generation;
    shard.groups->GiveUp(unsure);
    return Break(shard, unsure);
  }
  Confirm(shard);
}

void GroupCoordinator::BeginCall() {
  absl::MutexLock lock(&mutex_);
  ++store_calls_;
}

void GroupCoordinator::EndCall(Task task) {
  absl::MutexLock lock(&mutex_);
  --store_calls_;
  queue_.push_back(std::move(task));
}

void GroupCoordinator::Begin(Shard& shard) {
  shard.loaded = false;
  shard.ready = true;
  shard.groups->Start(topics_, Now());
  for (Task& task : std::exchange(shard.parked, {})) task();
}

void GroupCoordinator::Break(Shard& shard, const absl::Status& status) {
  shard.ready = shard.loaded = false;
  shard.broken = status;
  // What is not readable will not be; whatever else it was may pass.
  const bool elsewhere = ReasonOf(status) == Reason::kNotCoordinator;
  if (ReasonOf(status) != Reason::kCorruptData && !elsewhere)
    shard.reload_at_ms = Now().steady_ms + options_.reload_after_ms;
  if (ReasonOf(status) != Reason::kShuttingDown && !elsewhere) {
    events_.Write(Severity::kError, "groups_unavailable",
                  {{"partition", shard.index}, {"status", Std(status.message())}});
  }
  for (Task& task : std::exchange(shard.parked, {})) task();
}

void GroupCoordinator::Append(Shard& shard, absl::Cord batch) {
  const BatchLimits limits{.record_bytes_max = kBatchBytesCeiling, .batch_bytes_max = kBatchBytesCeiling};
  const absl::StatusOr<BatchInfo> info = WalkBatch(batch, limits);
  NARU_CHECK_OK(info.status());
  BeginCall();
  // Nobody else may have written since the shard was read.
  logs_.Append(
      {.log = shard.log, .batch = std::move(batch), .info = *info, .leader_epoch = shard.leader_epoch},
      [this, &shard, generation = shard.generation,
       begun_ms = Now().steady_ms](const absl::StatusOr<Appended>& appended) {
        EndCall([this, &shard, generation, begun_ms, status = appended.status()] {
          if (status.ok() && generation == shard.generation) {
            shard.confirmed_ms = std::max(shard.confirmed_ms, begun_ms);
          }
          OnAppended(shard, generation, status);
        });
      });
}

void GroupCoordinator::OnAppended(Shard& shard, uint64_t generation, const absl::Status& status) {
  if (generation != shard.generation) return;
  shard.groups->OnAppended(status, Now());
  if (!shard.groups->failed()) return;
  Break(shard, status);
}

void GroupCoordinator::TakeTopics() {
  {
    absl::MutexLock lock(&mutex_);
    topics_changed_ = false;
  }
  const std::shared_ptr<const TopicCatalog> catalog = catalog_.Current();
  FollowLeaders(*catalog);
  std::shared_ptr<const GroupTopics> topics = TopicsOf(*catalog);
  if (*topics == *topics_) return;
  topics_ = std::move(topics);
  if (shards_.empty()) return OpenShards(*catalog);
  for (const std::unique_ptr<Shard>& shard : shards_) {
    if (shard->ready) shard->groups->ChangeTopics(topics_, Now());
  }
}

}  // namespace naru::cluster
