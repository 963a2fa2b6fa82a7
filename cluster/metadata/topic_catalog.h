// What topics there are: an immutable snapshot that every call reads, and where it comes from.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "storage/base/ids.h"
#include "storage/log/log_store.h"

namespace naru::cluster {

inline constexpr size_t kTopicIdBytes = 16;

enum class CleanupPolicy { kDelete, kCompact, kCompactAndDelete };

// A topic's configuration, complete. Defaults and ranges are those of proto/naru/v1/admin.proto
// (TopicConfig).
struct TopicConfig {
  int64_t retention_ms = 604'800'000;
  int64_t retention_bytes = -1;
  CleanupPolicy cleanup_policy = CleanupPolicy::kDelete;
  int32_t record_bytes_max = 1 << 20;
  int32_t min_in_sync_replicas = 1;
  Durability durability = Durability::kFsync;
  bool append_time_stamped = false;
  int64_t delete_retention_ms = 86'400'000;
  int64_t min_compaction_lag_ms = 0;
  double min_cleanable_dirty_ratio = 0.5;

  bool compacted() const { return cleanup_policy != CleanupPolicy::kDelete; }
  LogSettings ToLogSettings() const {
    const bool retained = cleanup_policy != CleanupPolicy::kCompact;
    return {.durability = durability,
            .retention_ms = retained ? retention_ms : -1,
            .retention_bytes = retained ? retention_bytes : -1,
            .append_time_stamped = append_time_stamped,
            .compact = compacted(),
            .delete_retention_ms = delete_retention_ms,
            .min_compaction_lag_ms = min_compaction_lag_ms,
            .min_cleanable_dirty_ratio = min_cleanable_dirty_ratio};
  }
  friend bool operator==(const TopicConfig&, const TopicConfig&) = default;
};

struct PartitionPlacement {
  LogId log;        // the same on all brokers
  BrokerId leader;  // 0: nobody, at present
  LeaderEpoch leader_epoch;
  std::vector<BrokerId> replicas;
  // Those of them that are in sync; nothing: all.
  std::optional<std::vector<BrokerId>> in_sync;
};

struct TopicInfo {
  std::string name;
  std::string topic_id;  // 16 bytes
  TopicConfig config;
  int64_t create_time_ms = 0;
  int32_t replication_factor = 1;
  std::vector<PartitionPlacement> partitions;  // by number

  int32_t partition_count() const { return static_cast<int32_t>(partitions.size()); }
};

struct BrokerInfo {
  BrokerId id;
  std::string address;  // host:port, as advertised
};

// A snapshot; never changes once published. Cheap to share, safe on any thread.
struct TopicCatalog {
  int64_t version = 0;  // rises with every change
  std::string cluster_id;
  BrokerId self;
  std::vector<BrokerInfo> brokers;
  std::vector<BrokerInfo> away;  // registered, and fenced: not heard of
  absl::btree_map<std::string, std::shared_ptr<const TopicInfo>, std::less<>> topics;

  // TOPIC_NOT_FOUND, with the command that creates it, or TOPIC_ID_MISMATCH when `topic_id` is not empty and
  // not the topic's; INVALID_FIELD for a name that no topic can have or an id that is not 16 bytes.
  absl::StatusOr<std::shared_ptr<const TopicInfo>> Find(std::string_view name,
                                                        std::string_view topic_id = {}) const;
  // The topic with this id, or nothing. Looks at all of them.
  std::shared_ptr<const TopicInfo> FindById(std::string_view topic_id) const;
};

// Of all topics.
struct PartitionCounts {
  int64_t partitions = 0;
  int64_t under_replicated = 0;  // not every copy is in sync
  int64_t offline = 0;           // without a leader
};
PartitionCounts CountPartitions(const TopicCatalog& catalog);

// PARTITION_NOT_FOUND (metadata partitions) unless 0 ≤ partition < partition_count.
absl::StatusOr<const PartitionPlacement*> FindPartition(const TopicInfo& topic, int32_t partition);

// For a client that does not want to be forwarded: OK where this broker leads the partition in that leader
// epoch; NOT_LEADER (metadata leader, address, leader_epoch) where it is another broker or epoch; NO_LEADER
// where there is none. `partition` exists.
absl::Status CheckLedHere(const TopicCatalog& catalog, const TopicInfo& topic, int32_t partition,
                          LeaderEpoch leader_epoch);

// Who leads the partition, unless it is this broker: then 0, and where nobody does.
BrokerId LeaderElsewhere(const TopicCatalog& catalog, const PartitionPlacement& partition);

// TOPIC_NOT_FOUND (metadata topic).
absl::Status TopicDeleted(std::string_view name);

// What a client is told when the store answered `status` for the log of a partition of `topic`, which was
// looked up before: a log that is gone means that the topic was deleted meanwhile, so TOPIC_NOT_FOUND; or, if
// `now` still has the topic, PARTITION_NOT_FOUND of that partition. Any other status as it is.
absl::Status LogStatusForClient(const TopicCatalog& now, const TopicInfo& topic, int32_t partition,
                                const absl::Status& status);

// 1–249 of [A-Za-z0-9._-], not "." or "..": as in Kafka. INVALID_FIELD otherwise.
absl::Status ValidateTopicName(std::string_view field, std::string_view name);

// Names that begin with "__" belong to naru itself: nobody else creates such a topic.
bool IsReservedTopicName(std::string_view name);

// INVALID_FIELD for an internal topic: clients read those, and neither write, change nor delete them.
absl::Status CheckChangeable(std::string_view field, std::string_view topic);

// Where snapshots come from. Thread-safe; never blocks.
class CatalogSource {
 public:
  using WatchId = uint64_t;
  virtual ~CatalogSource() = default;
  virtual std::shared_ptr<const TopicCatalog> Current() const = 0;
  // Calls `changed` after each publication, on the publisher's thread; it must be short and must not call
  // back.
  virtual WatchId Watch(std::function<void()> changed) = 0;
  // When it returns, the watch neither runs nor will.
  virtual void CancelWatch(WatchId watch) = 0;
};

}  // namespace naru::cluster
