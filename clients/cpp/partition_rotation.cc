#include "clients/cpp/partition_rotation.h"

#include "absl/strings/str_cat.h"
#include "storage/base/status.h"
#include "storage/batch/partitioner.h"

namespace naru::client {

absl::StatusOr<PartitionId> PartitionRotation::Choose(const OutgoingRecord& record, int32_t partition_count) {
  if (record.partition) {
    const int32_t partition = record.partition->value();
    if (partition >= 0 && partition < partition_count) return *record.partition;
    return MakeError(
        Reason::kPartitionNotFound,
        absl::StrCat("partition: ", partition, " does not exist; 0 to ", partition_count - 1, " do"),
        {{"partitions", absl::StrCat(partition_count)}});
  }
  if (record.key) return PartitionForKey(*record.key, partition_count);
  // Kept below the count, so that the turn goes on evenly when the number wraps or the topic grows.
  const uint32_t partition = next_ % static_cast<uint32_t>(partition_count);
  next_ = partition + 1;
  return PartitionId(static_cast<int32_t>(partition));
}

}  // namespace naru::client
