// What passes between brokers, as messages and back. Pure, thread-safe.
#pragma once

#include <vector>

#include "cluster/replication/replication_event.h"
#include "naru/internal/v1/peer.pb.h"
#include "storage/batch/splice.h"
#include "storage/log/log_store.h"

namespace naru::cluster {

void ToMessage(const StoredBatchView& batch, naru::internal::v1::ReplicaBatch& to);
// Takes the bytes out of the message.
StoredBatchView FromMessage(naru::internal::v1::ReplicaBatch& from);

naru::internal::v1::PartitionFetch ToMessage(LogId log, const ReplicaFetch& fetch);
ReplicaFetch FromMessage(BrokerId follower, BrokerEpoch epoch,
                         const naru::internal::v1::PartitionFetch& from);

naru::internal::v1::FetchedPartition ToMessage(LogId log, const ReplicaFetchAnswer& answer);
ReplicaFetchAnswer FromMessage(const naru::internal::v1::FetchedPartition& from);

naru::internal::v1::LogFacts ToMessage(const LogInfo& info);
LogInfo FromMessage(const naru::internal::v1::LogFacts& from);

}  // namespace naru::cluster
