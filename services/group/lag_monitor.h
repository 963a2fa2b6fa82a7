// How far groups are behind, measured now and then for metrics: a scrape must not wait for the coordinator or
// the disk. In records from the committed position to the high watermark, and in time since the first record
// in that range was appended.
//
// Thread-safe. Its work runs on the executor; one round at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "cluster/group/group_coordinator.h"
#include "cluster/metadata/topic_catalog.h"
#include "services/consume/log_ends.h"
#include "services/rpc/executor.h"
#include "services/rpc/strand.h"
#include "storage/base/clock.h"
#include "storage/log/log_store.h"

namespace naru::services {

struct LagOptions {
  // Between the end of a round and the next, milliseconds. At least 100.
  int64_t interval_ms = 10'000;
  // Partitions of groups that are told apart; beyond them only the sums of groups. At least 0.
  int64_t partitions_max = 10'000;
};

struct GroupLag {
  struct Partition {
    std::string topic;
    int32_t partition = 0;
    int64_t records = 0;
    int64_t time_ms = 0;  // 0: nothing is to be read
  };
  std::string group;
  cluster::GroupState state = cluster::GroupState::kEmpty;
  int64_t members = 0;
  int64_t records = 0;      // of all partitions
  int64_t time_ms_max = 0;  // the oldest of all
  std::vector<Partition> partitions;
};

struct LagReport {
  std::vector<GroupLag> groups;  // by name
  int64_t partitions_left_out = 0;
};

class LagMonitor final : public std::enable_shared_from_this<LagMonitor> {
 public:
  // All outlive the monitor's last round: Stop it, then the executor.
  static std::shared_ptr<LagMonitor> Start(const LagOptions& options, cluster::GroupCoordinator& groups,
                                           const cluster::CatalogSource& catalog, LogStore& store,
                                           Executor& executor, const Clock& clock);
  // No round begins any more. Idempotent.
  void Stop();

  // Of the last round; empty before the first.
  std::shared_ptr<const LagReport> Report() const;

 private:
  // A partition with records to be read, whose first one's time is to be found.
  struct Waiting {
    size_t group = 0;
    size_t partition = 0;
    bool listed = false;  // in the report by itself
    LogId log;
    Offset next;
  };

  LagMonitor(const LagOptions& options, cluster::GroupCoordinator& groups,
             const cluster::CatalogSource& catalog, LogStore& store, Executor& executor, const Clock& clock);

  void Arm();
  // All below in the strand.
  void Begin();
  void OnSurvey(std::vector<cluster::GroupSnapshot> groups);
  void OnEnds(const std::vector<cluster::GroupSnapshot>& groups, const cluster::TopicCatalog& catalog);
  void Measure(const cluster::GroupSnapshot& snapshot, const cluster::TopicCatalog& catalog);
  void ReadSome();
  void OnRead(const Waiting& waiting, const absl::StatusOr<ReadResult>& result);
  void Publish();

  const LagOptions options_;
  cluster::GroupCoordinator& groups_;
  const cluster::CatalogSource& catalog_;
  LogStore& store_;
  Executor& executor_;
  const Clock& clock_;
  Strand strand_;

  // Of the round under way.
  LogEnds ends_;
  std::unique_ptr<LagReport> next_;
  int64_t listed_ = 0;
  std::vector<Waiting> waiting_;
  size_t reads_begun_ = 0;
  size_t reads_under_way_ = 0;

  mutable absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  Executor::TimerId timer_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const LagReport> report_ ABSL_GUARDED_BY(mutex_) = std::make_shared<LagReport>();
};

}  // namespace naru::services
