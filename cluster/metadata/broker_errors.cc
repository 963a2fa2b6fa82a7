#include "cluster/metadata/broker_errors.h"

#include "storage/base/status.h"

namespace naru::cluster {

absl::Status BrokerShuttingDown() {
  return MakeError(Reason::kShuttingDown, "the broker is shutting down; try again, or another broker");
}

absl::Status BrokerEndedMeanwhile() {
  return MakeError(Reason::kLeaderChanged,
                   "the broker is shutting down, and nobody knows whether it was done; look through another "
                   "broker, or send again as an idempotent producer");
}

}  // namespace naru::cluster
