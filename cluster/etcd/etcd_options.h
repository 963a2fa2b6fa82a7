// Where etcd is, and how long to wait for it. A value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace naru::cluster {

struct EtcdOptions {
  // host:port of members of one etcd cluster, [address]:port for IPv6. Used one at a time, the next when one
  // does not answer. 1 to 16.
  std::vector<std::string> endpoints;
  // What all keys begin with: several clusters of naru may share one etcd. "/" and segments of
  // [A-Za-z0-9._-], 1 to 200 characters.
  std::string prefix = "/naru";
  // Seconds until an elected coordinator of which etcd hears nothing is deposed. 2 to 60; etcd grants at
  // least one and a half of its election timeouts, which is 2 by default.
  int64_t lease_ttl_s = 2;
  // One request, milliseconds. 100 to 60,000.
  int64_t request_timeout_ms = 1'000;
  // How often it is looked who is elected, and how long at least a request that failed takes; milliseconds.
  // 10 to 10,000.
  int64_t poll_interval_ms = 200;
  // Keys in one answer when everything is read. 1 to 200: an answer of so many of the largest values still
  // fits what is received.
  int64_t page_keys_max = 200;

  // INVALID_FIELD, naming the option.
  absl::Status Validate() const;
};

// etcd://host:port[,host:port...][/prefix], the rest as by default. INVALID_FIELD, naming `option`, the value
// and what is allowed.
absl::StatusOr<EtcdOptions> ParseEtcdUrl(std::string_view option, std::string_view url);

}  // namespace naru::cluster
