// The cluster's metadata in an OrderedMapStore: who this data directory is, which topics there are, and the
// counters that only rise. Every change of a topic is one atomic, durable write together with the counters.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cluster/metadata/topic_catalog.h"
#include "storage/base/ids.h"
#include "storage/base/ordered_map_store.h"

namespace naru::cluster {

// Made at the first start and never changed.
struct Identity {
  std::string cluster_id;  // 32 hexadecimal digits
  BrokerId broker;
  friend bool operator==(const Identity&, const Identity&) = default;
};

struct Counters {
  LogId next_log{1};     // the next to give out; never one that was given out
  LogId settled_log{1};  // logs below were made in the store; those of the last change perhaps not
  int64_t version = 0;   // of the last snapshot that may have been published
  // The first producer id that was never reserved; those below may have been given out.
  int64_t next_producer_id = 1;
  friend bool operator==(const Counters&, const Counters&) = default;
};

struct StoredMetadata {
  std::optional<Identity> identity;  // nothing: this is the first start
  Counters counters;
  std::vector<std::shared_ptr<const TopicInfo>> topics;  // by name
};

// As thread-safe as the map store, which outlives it. Calls block on disk.
class MetadataStore {
 public:
  explicit MetadataStore(OrderedMapStore& map) : map_(map) {}

  // CORRUPT_DATA when what is stored cannot be what was written; nothing is changed then.
  absl::StatusOr<StoredMetadata> Load() const;

  absl::Status WriteIdentity(const Identity& identity, const Counters& counters);
  absl::Status WriteCounters(const Counters& counters);
  absl::Status PutTopic(const TopicInfo& topic, const Counters& counters);
  absl::Status RemoveTopic(std::string_view name, const Counters& counters);

 private:
  OrderedMapStore& map_;
};

}  // namespace naru::cluster
