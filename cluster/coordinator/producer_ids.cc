#include "cluster/coordinator/producer_ids.h"

#include "storage/base/check.h"

namespace naru::cluster {

void ProducerIds::BlockReserved(int64_t end) {
  NARU_CHECK(end > end_);
  end_ = end;
}

std::optional<int64_t> ProducerIds::Take() {
  if (next_ == end_) return std::nullopt;
  return next_++;
}

}  // namespace naru::cluster
