// The coordinator's core: which topics there are, and what a request would change. It decides and remembers;
// it does no IO and knows no threads, clock or randomness: ids and times are handed in, changes are handed
// out.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "cluster/metadata/metadata_store.h"
#include "cluster/metadata/topic_catalog.h"
#include "naru/v1/admin.pb.h"
#include "storage/base/ids.h"

namespace naru::cluster {

struct TopicLimits {
  // Of one topic. 1 to 100,000.
  int32_t partitions_per_topic_max = 100'000;
  // Of all topics together. At least 1.
  int64_t partitions_total_max = 200'000;
  // What config.max_record_bytes may be at most: the broker's largest batch. At least 1.
  int32_t record_bytes_max = 2 << 20;

  // INVALID_ARGUMENT names the option, its value and what is allowed.
  absl::Status Validate() const;
};

// One step from a state to the next. Persisted before it is applied.
struct TopicChange {
  std::shared_ptr<const TopicInfo> before;  // none: the topic is made
  std::shared_ptr<const TopicInfo> after;   // none: the topic is deleted
  std::vector<LogId> logs_made;
  std::vector<LogId> logs_deleted;
  Counters counters;  // as of after the change

  bool changes_nothing() const { return before == after; }
};

// What the store lacks or has too much of, compared with the topics.
struct LogDifference {
  std::vector<LogId> missing;  // by id
  std::vector<LogId> unknown;  // by id
};

// Thread-unsafe: belongs to the coordinator's thread. Deciding changes nothing; Apply does.
class TopicLedger {
 public:
  // What was stored (with its identity), and the brokers there are.
  TopicLedger(const TopicLimits& limits, StoredMetadata stored, std::vector<BrokerInfo> brokers);

  // Who makes a topic: only naru itself makes those of reserved names.
  enum class Maker { kClient, kBroker };

  // `topic_id`: 16 bytes, never used before.
  //   INVALID_FIELD  name, partition_count, replication_factor, config.…
  //   TOPIC_EXISTS
  absl::StatusOr<TopicChange> Create(const naru::v1::CreateTopicRequest& request, std::string_view topic_id,
                                     int64_t now_ms, Maker maker = Maker::kClient) const;
  // Of these three: INVALID_FIELD name for an internal topic, which clients neither change nor delete.
  // TOPIC_NOT_FOUND, TOPIC_ID_MISMATCH; INVALID_FIELD config.…, update_mask. Changes nothing when the
  // configuration stays as it is.
  absl::StatusOr<TopicChange> Update(const naru::v1::UpdateTopicRequest& request) const;
  // TOPIC_NOT_FOUND, TOPIC_ID_MISMATCH; INVALID_FIELD partition_count, also when it is not more than there
  // are.
  absl::StatusOr<TopicChange> Grow(const naru::v1::CreatePartitionsRequest& request) const;
  // TOPIC_NOT_FOUND, TOPIC_ID_MISMATCH.
  absl::StatusOr<TopicChange> Delete(const naru::v1::DeleteTopicRequest& request) const;
  // The way back from a change that was persisted and could not be carried out. The log ids stay used.
  TopicChange Undo(const TopicChange& change) const;
  void Apply(const TopicChange& change);

  // Counters for a new snapshot without a change of topics, and that change: the address of a broker.
  Counters NextVersion() const;
  void SetBrokerAddress(BrokerId broker, const std::string& address, const Counters& counters);

  // Counters with producer ids reserved up to `end`, and that change.
  Counters WithProducersReserved(int64_t end) const;
  void SetCounters(const Counters& counters) { counters_ = counters; }

  // Compares with the store's logs, given by id.
  //   CORRUPT_DATA  the store has a log that was never given out (this metadata is older than the store), or
  //   lacks one
  //                 that was surely made (the store lost it), unless `missing_allowed`
  absl::StatusOr<LogDifference> CompareLogs(const std::vector<LogId>& store_logs, bool missing_allowed) const;

  // The state now. Copy it to publish it.
  const TopicCatalog& catalog() const { return catalog_; }
  const Counters& counters() const { return counters_; }
  int64_t partitions_total() const { return partitions_total_; }

 private:
  // A topic that clients may change.
  absl::StatusOr<std::shared_ptr<const TopicInfo>> Find(std::string_view name,
                                                        std::string_view topic_id) const;
  absl::Status CheckPartitionCount(int32_t count, int32_t least, int32_t present, std::string_view why) const;
  // Appends `count` partitions with new logs to `topic` and to the change.
  void AddPartitions(int32_t count, TopicInfo& topic, TopicChange& change) const;

  const TopicLimits limits_;
  TopicCatalog catalog_;
  Counters counters_;
  int64_t partitions_total_ = 0;
};

}  // namespace naru::cluster
