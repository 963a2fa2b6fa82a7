#include "services/server/cluster_options.h"

#include <algorithm>

#include "absl/strings/str_split.h"
#include "cluster/etcd/etcd_options.h"
#include "services/server/option_values.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::services {
namespace {

std::vector<std::string> Split(const std::string& list) {
  return absl::StrSplit(list, ',', absl::SkipEmpty());
}

absl::Status Invalid(std::string_view option, const std::string& value, std::string_view allowed) {
  return absl::InvalidArgumentError(
      absl::StrCat(std::string(option), ": ", value, " is not allowed; ", std::string(allowed)));
}

}  // namespace

bool ClusterOptions::Has(const std::string& role) const {
  const std::vector<std::string> all = Split(roles);
  return std::find(all.begin(), all.end(), role) != all.end();
}

std::vector<std::string> ClusterOptions::CoordinatorAddresses() const { return Split(coordinators); }

absl::Status ClusterOptions::Validate() const {
  for (const std::string& role : Split(roles)) {
    if (role != "broker" && role != "coordinator") {
      return Invalid("--roles", roles, "allowed: broker, coordinator, or both with a comma between");
    }
  }
  if (!is_broker() && !is_coordinator()) return Invalid("--roles", "nothing", "allowed: broker, coordinator");
  for (const std::string& address : CoordinatorAddresses()) {
    if (!ParseHostPort(address).ok()) {
      return Invalid("--coordinators", address, "allowed: HOST:PORT, with commas between");
    }
  }
  if (metadata != "embedded") {
    NARU_RETURN_IF_ERROR(cluster::ParseEtcdUrl("--metadata", metadata).status());
  }
  if (!in_cluster()) {
    if (is_broker() && is_coordinator()) return absl::OkStatus();
    return Invalid(
        "--roles", roles,
        "a hub that runs alone is both; a part of a cluster needs --metadata=etcd://… (coordinators) "
        "or --coordinators=… (brokers)");
  }
  if (is_coordinator() && metadata == "embedded") {
    return Invalid("--metadata", metadata, "a coordinator of a cluster needs etcd://HOST:PORT,…");
  }
  if (!is_coordinator() && coordinators.empty()) {
    return Invalid("--coordinators", "nothing", "a broker needs the coordinators' peer addresses");
  }
  return absl::OkStatus();
}

}  // namespace naru::services
