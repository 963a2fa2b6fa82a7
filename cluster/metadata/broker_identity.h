// Who a data directory is in a cluster.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/base/ids.h"
#include "storage/base/ordered_map_store.h"

namespace naru::cluster {

struct BrokerIdentity {
  BrokerId broker;
  std::string incarnation;  // 32 hexadecimal digits: another disk has another one
  std::string cluster_id;   // empty until a coordinator has registered it
  friend bool operator==(const BrokerIdentity&, const BrokerIdentity&) = default;
};

// What `map` says, or after the first start what it says from now on: `broker`, of no cluster yet. Blocks on
// disk. INVALID_ARGUMENT when the directory belongs to another broker, or to a hub that runs alone;
// CORRUPT_DATA.
absl::StatusOr<BrokerIdentity> LoadOrMakeBrokerIdentity(OrderedMapStore& map, BrokerId broker);
absl::Status WriteBrokerIdentity(OrderedMapStore& map, const BrokerIdentity& identity);

// INVALID_ARGUMENT when the directory belongs to a broker of a cluster.
absl::Status CheckRunsAlone(const OrderedMapStore& map);

}  // namespace naru::cluster
