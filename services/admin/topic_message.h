// A topic as the API describes it. Pure, thread-safe.
#pragma once

#include "cluster/metadata/topic_catalog.h"
#include "naru/v1/admin.pb.h"
#include "storage/log/log_store.h"

namespace naru::services {

// Without the state of its partitions.
naru::v1::Topic ToMessage(const cluster::TopicInfo& topic);

// With one broker the in-sync replicas are the replicas, and what is readable is the high watermark.
naru::v1::PartitionState ToMessage(int32_t partition, const cluster::PartitionPlacement& placement,
                                   const LogInfo& log);

}  // namespace naru::services
