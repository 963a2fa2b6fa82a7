// What GetMetadata and WatchMetadata answer with, serialized: one snapshot may be on its way to many clients.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "cluster/metadata/topic_catalog.h"
#include "naru/v1/cluster.pb.h"
#include "storage/base/memory_budget.h"

namespace naru::services {

// Never changes. The bytes are those of a GetMetadataResponse, and just as well of a WatchMetadataResponse.
struct MetadataSnapshot {
  int64_t version = 0;  // the catalog's
  grpc::ByteBuffer bytes;
};

// Thread-safe.
class MetadataSnapshots {
 public:
  // `message_bytes_max` bounds an answer, `bytes_max` all that are in memory: an answer counts until gRPC has
  // let go of it, and counts once however many clients it goes to.
  MetadataSnapshots(int64_t message_bytes_max, int64_t bytes_max)
      : message_bytes_max_(message_bytes_max), budget_(std::make_shared<MemoryBudget>(bytes_max)) {}

  // INVALID_FIELD when a topic is named twice, or too many are.
  static absl::Status ValidateNames(const std::vector<std::string>& names);

  // Valid names; none: all topics. A snapshot of all is made once for each version, and may be of a newer
  // one.
  //   INVALID_FIELD       it would be too large
  //   TOO_MANY_IN_FLIGHT  no memory for it now
  absl::StatusOr<std::shared_ptr<const MetadataSnapshot>> Make(const cluster::TopicCatalog& catalog,
                                                               const std::vector<std::string>& names);

 private:
  using Result = absl::StatusOr<std::shared_ptr<const MetadataSnapshot>>;

  Result Serialize(const naru::v1::GetMetadataResponse& response) const;

  const int64_t message_bytes_max_;
  // Shared with the answers, which gRPC may keep for longer than the service lives.
  const std::shared_ptr<MemoryBudget> budget_;
  absl::Mutex mutex_;
  // The newest, or why it could not be made.
  Result of_all_ ABSL_GUARDED_BY(mutex_) = std::shared_ptr<const MetadataSnapshot>();
  int64_t of_all_version_ ABSL_GUARDED_BY(mutex_) = -1;
};

}  // namespace naru::services
