#include "services/group/lag_monitor.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>

#include "services/group/group_view.h"
#include "services/group/offset_commits.h"

namespace naru::services {
namespace {

// Reads under way at a time, so that measuring does not keep the store's readers from clients.
constexpr size_t kReadsMax = 2;
// The time of the first unread record is looked up for so many partitions of a round.
constexpr size_t kTimesMax = 1'000;

}  // namespace

std::shared_ptr<LagMonitor> LagMonitor::Start(const LagOptions& options, cluster::GroupCoordinator& groups,
                                              const cluster::CatalogSource& catalog, LogStore& store,
                                              Executor& executor, const Clock& clock) {
  const std::shared_ptr<LagMonitor> monitor(new LagMonitor(options, groups, catalog, store, executor, clock));
  monitor->Arm();
  return monitor;
}

LagMonitor::LagMonitor(const LagOptions& options, cluster::GroupCoordinator& groups,
                       const cluster::CatalogSource& catalog, LogStore& store, Executor& executor,
                       const Clock& clock)
    : options_(options),
      groups_(groups),
      catalog_(catalog),
      store_(store),
      executor_(executor),
      clock_(clock),
      strand_(executor) {}

void LagMonitor::Stop() {
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
  executor_.Cancel(timer_);
}

std::shared_ptr<const LagReport> LagMonitor::Report() const {
  absl::MutexLock lock(&mutex_);
  return report_;
}

void LagMonitor::Arm() {
  absl::MutexLock lock(&mutex_);
  if (stopped_) return;
  timer_ = executor_.RunAfter(std::chrono::milliseconds(options_.interval_ms), [weak = weak_from_this()] {
    if (const std::shared_ptr<LagMonitor> self = weak.lock()) self->strand_.Post([self] { self->Begin(); });
  });
}

void LagMonitor::Begin() {
  groups_.Survey([self = shared_from_this()](absl::StatusOr<std::vector<cluster::GroupSnapshot>> groups) {
    // Off the coordinator's thread.
    self->strand_.Post([self, groups = std::move(groups)]() mutable {
      if (!groups.ok()) return self->Arm();
      self->OnSurvey(*std::move(groups));
    });
  });
}

void LagMonitor::OnSurvey(std::vector<cluster::GroupSnapshot> groups) {
  std::set<LogId> logs;
  const std::shared_ptr<const cluster::TopicCatalog> catalog = catalog_.Current();
  for (const cluster::GroupSnapshot& group : groups) logs.merge(LogsOf(group, *catalog));
  AskLogEnds(
      store_, logs, [self = shared_from_this(), catalog, groups = std::move(groups)](LogEnds ends) mutable {
        self->strand_.Post([self, catalog, groups = std::move(groups), ends = std::move(ends)]() mutable {
          self->ends_ = std::move(ends);
          self->OnEnds(groups, *catalog);
        });
      });
}

void LagMonitor::OnEnds(const std::vector<cluster::GroupSnapshot>& groups,
                        const cluster::TopicCatalog& catalog) {
  next_ = std::make_unique<LagReport>();
  listed_ = 0;
  waiting_.clear();
  reads_begun_ = 0;
  std::vector<const cluster::GroupSnapshot*> by_name;
  by_name.reserve(groups.size());
  for (const cluster::GroupSnapshot& group : groups) by_name.push_back(&group);
  std::sort(by_name.begin(), by_name.end(), [](auto* a, auto* b) { return a->group < b->group; });
  for (const cluster::GroupSnapshot* group : by_name) Measure(*group, catalog);
  ReadSome();
}

void LagMonitor::Measure(const cluster::GroupSnapshot& snapshot, const cluster::TopicCatalog& catalog) {
  GroupLag& lag = next_->groups.emplace_back();
  lag.group = snapshot.group;
  lag.state = snapshot.state;
  lag.members = static_cast<int64_t>(snapshot.members.size());
  std::set<cluster::GroupPartition> partitions;
  for (const auto& [partition, committed] : snapshot.offsets) partitions.insert(partition);
  for (const auto& member : snapshot.members) partitions.insert(member.owned.begin(), member.owned.end());
  std::shared_ptr<const cluster::TopicInfo> topic;  // the one before is mostly the same
  for (const cluster::GroupPartition& partition : partitions) {
    if (topic == nullptr || topic->topic_id != Bytes(partition.topic)) {
      topic = catalog.FindById(Bytes(partition.topic));
    }
    if (topic == nullptr || partition.partition >= topic->partition_count()) continue;
    const LogId log = topic->partitions[static_cast<size_t>(partition.partition)].log;
    const absl::StatusOr<LogInfo> info = ends_.Of(log);
    if (!info.ok()) continue;
    const auto committed = snapshot.offsets.find(partition);
    const int64_t records = LagOf(committed == snapshot.offsets.end() ? nullptr : &committed->second, *info);
    lag.records += records;
    const bool listed = listed_ < options_.partitions_max;
    if (listed) {
      ++listed_;
      lag.partitions.push_back({topic->name, partition.partition, records, 0});
    } else {
      ++next_->partitions_left_out;
    }
    if (records == 0 || waiting_.size() >= kTimesMax) continue;
    waiting_.push_back({.group = next_->groups.size() - 1,
                        .partition = lag.partitions.size() - 1,
                        .listed = listed,
                        .log = log,
                        .next = Offset(info->readable_end.value() - records)});
  }
}

void LagMonitor::ReadSome() {
  while (reads_begun_ < waiting_.size() && reads_under_way_ < kReadsMax) {
    const Waiting waiting = waiting_[reads_begun_++];
    ++reads_under_way_;
    store_.Read({.log = waiting.log, .from = waiting.next, .bytes_max = 1},
                [self = shared_from_this(), waiting](absl::StatusOr<ReadResult> result) {
                  self->strand_.Post([self, waiting, result = std::move(result)] {
                    self->OnRead(waiting, result);
                    self->ReadSome();
                  });
                });
  }
  if (reads_under_way_ == 0 && reads_begun_ == waiting_.size()) Publish();
}

void LagMonitor::OnRead(const Waiting& waiting, const absl::StatusOr<ReadResult>& result) {
  --reads_under_way_;
  if (!result.ok() || result->batches.empty()) return;
  const int64_t time_ms = std::max<int64_t>(0, clock_.NowMs() - result->batches.front().append_time_ms);
  GroupLag& lag = next_->groups[waiting.group];
  lag.time_ms_max = std::max(lag.time_ms_max, time_ms);
  if (waiting.listed) lag.partitions[waiting.partition].time_ms = time_ms;
}

void LagMonitor::Publish() {
  {
    absl::MutexLock lock(&mutex_);
    report_ = std::shared_ptr<const LagReport>(std::move(next_));
  }
  Arm();
}

}  // namespace naru::services
