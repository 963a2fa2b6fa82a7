// A topic as the API describes it. Pure, thread-safe.
#pragma once

#include "cluster/metadata/topic_catalog.h"
#include "naru/v1/admin.pb.h"
#include "storage/log/log_store.h"

namespace naru::services {

// Without the state of its partitions.
naru::v1::Topic ToMessage(const cluster::TopicInfo& topic);

// Without the log's ends.
naru::v1::PartitionState ToMessage(int32_t partition, const cluster::PartitionPlacement& placement);
// What is readable is the high watermark.
void SetEnds(const LogInfo& log, naru::v1::PartitionState& state);

}  // namespace naru::services
