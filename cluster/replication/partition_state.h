// What the coordinator has decided about one partition. Values.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "storage/base/ids.h"

namespace naru::cluster {

// Of one registration of a broker: the version of the cluster's metadata that has it. So it rises with every
// registration, over all brokers.
using BrokerEpoch = StrongId<struct BrokerEpochTag, int64_t>;
// Rises by one with every change of what is decided about a partition, leadership included (KIP-497).
using PartitionEpoch = StrongId<struct PartitionEpochTag, int64_t>;

inline constexpr BrokerId kNoBroker{0};

struct PartitionState {
  // Who holds a copy, the preferred leader first.
  std::vector<BrokerId> replicas;
  BrokerId leader = kNoBroker;  // none: nobody who may lead is there
  LeaderEpoch leader_epoch{-1};
  PartitionEpoch epoch;
  // In-sync replicas: each holds every record below the high watermark, and the high watermark waits for all
  // of them. Empty only when the last one went.
  std::set<BrokerId> isr;
  // Eligible leader replicas (KIP-966): not in the ISR, but nothing was committed since they left it, because
  // it was below min_isr all the time.
  std::set<BrokerId> elr;
  // Who was eligible when its last process ended badly: asked when a leader is wanted whatever it costs.
  std::set<BrokerId> last_known_elr;
  // With a smaller ISR nothing is committed. 1 to the number of replicas.
  int32_t min_isr = 1;

  bool Holds(BrokerId broker) const {
    for (const BrokerId replica : replicas) {
      if (replica == broker) return true;
    }
    return false;
  }
  bool enough_in_sync() const { return static_cast<int32_t>(isr.size()) >= min_isr; }
  friend bool operator==(const PartitionState&, const PartitionState&) = default;
};

// "leader 1 epoch 3 partition epoch 7 isr 1,2 elr 3", for people.
std::string ToText(const PartitionState& state);

}  // namespace naru::cluster
