// The cluster's metadata as etcd's transactions, keys and values, and back. Pure, thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cluster/coordinator/cluster_metadata.h"
#include "cluster/etcd/etcd_keys.h"
#include "etcd/rpc.pb.h"

namespace naru::cluster {

// What one write may take: etcd carries out 128 operations in a transaction by default, and takes requests of
// 1.5 MiB.
inline constexpr size_t kWriteOperationsMax = 120;
inline constexpr size_t kWriteBytesMax = 1'400'000;

// Puts and deletions that the write takes: one, and one for the cluster's id, one for the next log, one for
// each broker and each topic (two for one that goes), and one for each 64 partitions that have changes in
// them. `before` as in ClusterStore::Write.
size_t OperationsOf(const MetadataWrite& write, const ClusterMetadata& before);

// The transaction that writes it if the term and the head are still those, and otherwise answers with both.
// RESOURCE_EXHAUSTED for one of more than kWriteOperationsMax or kWriteBytesMax, INVALID_ARGUMENT for one
// that has states of a topic that it removes: both are defects of who made it.
absl::StatusOr<etcdserverpb::TxnRequest> EncodeWrite(const EtcdKeys& keys, const MetadataWrite& write,
                                                     const ClusterMetadata& before);

// What became of the write, from the answer to that transaction. Never kUnknown.
WriteOutcome DecodeOutcome(const etcdserverpb::TxnResponse& response, int64_t term);

// Adds what stands under a key to `metadata`. CORRUPT_DATA, naming the key, for what EncodeWrite cannot have
// written.
absl::Status DecodeKey(const EtcdKeys& keys, const mvccpb::KeyValue& from, ClusterMetadata& metadata);

// To be asked when all keys were read. CORRUPT_DATA when the head is gone and the rest is not.
absl::Status CheckDecoded(const EtcdKeys& keys, const ClusterMetadata& metadata);

}  // namespace naru::cluster
