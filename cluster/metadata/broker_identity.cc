#include "cluster/metadata/broker_identity.h"

#include "cluster/metadata/metadata_store.h"
#include "cluster/metadata/random_id.h"
#include "naru/internal/v1/metadata.pb.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::cluster {
namespace {

constexpr std::string_view kBrokerKey = "broker";

absl::StatusOr<std::optional<BrokerIdentity>> Read(const OrderedMapStore& map) {
  NARU_ASSIGN_OR_RETURN(const std::optional<std::string> value, map.Get(kBrokerKey));
  if (!value) return std::optional<BrokerIdentity>();
  naru::internal::v1::BrokerIdentityRecord record;
  if (!record.ParseFromString(*value) || record.broker_id() < 1 || record.incarnation().empty()) {
    return MakeError(Reason::kCorruptData, "the metadata store is damaged: \"broker\" cannot be read");
  }
  return std::optional(
      BrokerIdentity{BrokerId(record.broker_id()), record.incarnation(), record.cluster_id()});
}

}  // namespace

absl::StatusOr<BrokerIdentity> LoadOrMakeBrokerIdentity(OrderedMapStore& map, BrokerId broker) {
  NARU_ASSIGN_OR_RETURN(const StoredMetadata alone, MetadataStore(map).Load());
  if (alone.identity) {
    return absl::InvalidArgumentError(
        "--data-dir: the directory belongs to a hub that runs alone; start it without --metadata and "
        "--coordinators, or name another directory");
  }
  NARU_ASSIGN_OR_RETURN(const std::optional<BrokerIdentity> known, Read(map));
  if (!known) {
    const BrokerIdentity made{.broker = broker, .incarnation = RandomIdDigits(), .cluster_id = ""};
    NARU_RETURN_IF_ERROR(WriteBrokerIdentity(map, made));
    return made;
  }
  if (known->broker != broker) {
    return absl::InvalidArgumentError(absl::StrCat("--broker-id: ", broker.value(),
                                                   " is not allowed; the data directory belongs to broker ",
                                                   known->broker.value()));
  }
  return *known;
}

absl::Status WriteBrokerIdentity(OrderedMapStore& map, const BrokerIdentity& identity) {
  naru::internal::v1::BrokerIdentityRecord record;
  record.set_broker_id(identity.broker.value());
  record.set_incarnation(identity.incarnation);
  record.set_cluster_id(identity.cluster_id);
  return map.Write({{std::string(kBrokerKey), record.SerializeAsString()}});
}

absl::Status CheckRunsAlone(const OrderedMapStore& map) {
  NARU_ASSIGN_OR_RETURN(const std::optional<BrokerIdentity> known, Read(map));
  if (!known) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--data-dir: the directory belongs to broker ", known->broker.value(),
                   " of a cluster; start it with --broker-id=", known->broker.value(),
                   " and the cluster's --coordinators or --metadata, or name another directory"));
}

}  // namespace naru::cluster
