// What a broker answers when it is about to end. Pure, thread-safe.
#pragma once

#include "absl/status/status.h"

namespace naru::cluster {

// UNAVAILABLE/SHUTTING_DOWN: to who asks from then on. Nothing was done.
absl::Status BrokerShuttingDown();
// ABORTED/LEADER_CHANGED: to who has asked before, of what was under way: nobody knows whether it was done.
absl::Status BrokerEndedMeanwhile();

}  // namespace naru::cluster
