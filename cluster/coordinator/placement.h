// Which brokers hold which partition. Pure, thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "cluster/metadata/topic_catalog.h"
#include "storage/base/ids.h"

namespace naru::cluster {

// How many partitions each broker leads, for every broker there is. Internal topics do not count: they are
// many small partitions that say little about load, and would keep a first topic of three partitions from
// being spread in order.
std::map<BrokerId, int64_t> CountLeaders(const TopicCatalog& catalog);

// The replicas of `partition_count` new partitions, the preferred leader first: the first partition starts at
// the broker that leads fewest, the lowest id on ties, and each next one at the broker after it, by id and
// around. Three brokers give 1,2,3 · 2,3,1 · 3,1,2. `replication_factor` is 1 to the number of brokers.
std::vector<std::vector<BrokerId>> PlaceReplicas(const std::map<BrokerId, int64_t>& leaders_by_broker,
                                                 int32_t partition_count, int32_t replication_factor);

}  // namespace naru::cluster
