#include "storage/batch/thin_batch.h"

#include <utility>

#include "storage/base/status.h"

namespace naru {

absl::StatusOr<std::optional<ThinnedBatch>> ThinBatch(
    const absl::Cord& batch, absl::FunctionRef<bool(uint32_t index, const RecordView& record)> keep) {
  ThinnedBatch thinned;
  BatchBuilder builder;
  uint32_t index = 0;
  NARU_RETURN_IF_ERROR(ForEachRecord(batch, [&](const RecordView& record) {
    if (keep(index, record)) {
      thinned.kept.push_back(index);
      builder.AddRaw(record.raw);
    }
    ++index;
    return true;
  }));
  if (thinned.kept.empty()) return std::nullopt;
  if (thinned.kept.size() == index) {
    thinned.batch = batch;
    return thinned;
  }
  NARU_ASSIGN_OR_RETURN(const Codec codec, CodecOf(batch));
  NARU_ASSIGN_OR_RETURN(thinned.batch, builder.FinishSmallest(codec));
  return thinned;
}

}  // namespace naru
