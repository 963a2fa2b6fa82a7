// Whose turn it is: the partitions of each topic in rotation, for batches without a key. Thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "cluster/metadata/topic_catalog.h"

namespace naru::services {

class KeylessTurns {
 public:
  // The next partition in turn, beginning with 0. Turns of topics that `catalog` no longer has are forgotten
  // now and then.
  PartitionId Next(const cluster::TopicInfo& topic, const cluster::TopicCatalog& catalog);

 private:
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, uint32_t> turns_ ABSL_GUARDED_BY(mutex_);  // by topic id
};

}  // namespace naru::services
