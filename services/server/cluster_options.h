// What makes narud a part of a cluster.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace naru::services {

struct ClusterOptions {
  // "broker", "coordinator" or both, with a comma between.
  std::string roles = "broker,coordinator";
  // "embedded": this process alone; or etcd://HOST:PORT[,HOST:PORT…][/PREFIX].
  std::string metadata = "embedded";
  // Which broker this is. From 1.
  int64_t broker_id = 1;
  // HOST:PORT[,HOST:PORT…] of the coordinators' peer addresses; empty: this process is the coordinator.
  std::string coordinators;
  // HOST:PORT for brokers and coordinators of the cluster; port 0 takes a free one.
  std::string peer_listen = "127.0.0.1:9412";
  // HOST:PORT for them; empty: `peer_listen` with the real port.
  std::string peer_advertise;
  // A store that fails its checks when a broker starts is put aside, and what it held copied from others;
  // false: the broker refuses to start.
  bool refetch_damaged = true;
  // Bytes a second that replicas out of sync are given from this broker together; 0: as many as they take.
  int64_t catch_up_bytes_per_second = 0;

  bool is_broker() const { return Has("broker"); }
  bool is_coordinator() const { return Has("coordinator"); }
  // Otherwise it is everything by itself.
  bool in_cluster() const { return metadata != "embedded" || !coordinators.empty(); }
  std::vector<std::string> CoordinatorAddresses() const;

  // INVALID_ARGUMENT names the option, its value and what is allowed.
  absl::Status Validate() const;

 private:
  bool Has(const std::string& role) const;
};

}  // namespace naru::services
