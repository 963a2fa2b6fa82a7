#include "cluster/coordinator/producer_ids.h"

#include "absl/strings/str_cat.h"
#include "storage/base/check.h"
#include "storage/base/status.h"

namespace naru::cluster {

void ProducerIds::BlockReserved(int64_t end) {
  NARU_CHECK(end > end_);
  end_ = end;
}

std::optional<int64_t> ProducerIds::Take() {
  if (next_ == end_) return std::nullopt;
  return next_++;
}

absl::StatusOr<ProducerIdentity> NextEpoch(const ProducerIdentity& producer, const ProducerIds& ids) {
  if (!ids.WasGiven(producer.producer_id)) {
    return InvalidField("producer_id", absl::StrCat(producer.producer_id),
                        "it is one that InitProducer gave out; leave it out to get a new one");
  }
  if (producer.epoch < 0 || producer.epoch == INT64_MAX) {
    return InvalidField("epoch", absl::StrCat(producer.epoch), absl::StrCat("it is 0 to ", INT64_MAX - 1));
  }
  return ProducerIdentity{producer.producer_id, producer.epoch + 1};
}

}  // namespace naru::cluster
