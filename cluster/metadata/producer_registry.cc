#include "cluster/metadata/producer_registry.h"

#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::cluster {

absl::StatusOr<ProducerIdentity> NextEpoch(const ProducerIdentity& producer, bool given) {
  if (!given) {
    return InvalidField("producer_id", absl::StrCat(producer.producer_id),
                        "it is one that InitProducer gave out; leave it out to get a new one");
  }
  if (producer.epoch < 0 || producer.epoch == INT64_MAX) {
    return InvalidField("epoch", absl::StrCat(producer.epoch), absl::StrCat("it is 0 to ", INT64_MAX - 1));
  }
  return ProducerIdentity{producer.producer_id, producer.epoch + 1};
}

}  // namespace naru::cluster
