#include "cluster/coordinator/cluster_record.h"

#include <algorithm>
#include <set>
#include <string>

#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::cluster {
namespace {

absl::Status Corrupt(std::string_view field, int64_t value, std::string_view allowed) {
  return MakeError(Reason::kCorruptData, absl::StrCat("cluster metadata: ", std::string(field), ": ", value,
                                                      " cannot be; allowed: ", std::string(allowed)));
}

template <typename Brokers>
void Add(const Brokers& brokers, google::protobuf::RepeatedField<int32_t>& to) {
  for (const BrokerId broker : brokers) to.Add(broker.value());
}

// Each a replica, and none twice.
absl::StatusOr<std::set<BrokerId>> ReplicaSet(std::string_view field, const PartitionState& state,
                                              const google::protobuf::RepeatedField<int32_t>& from) {
  std::set<BrokerId> brokers;
  for (const int32_t id : from) {
    if (!state.Holds(BrokerId(id)) || !brokers.insert(BrokerId(id)).second) {
      return Corrupt(field, id, "replicas, each once");
    }
  }
  return brokers;
}

}  // namespace

naru::internal::v1::BrokerRecord ToRecord(BrokerId broker, const BrokerRecord& record) {
  naru::internal::v1::BrokerRecord to;
  to.set_broker_id(broker.value());
  to.set_epoch(record.epoch.value());
  to.set_fenced(record.fenced);
  to.set_incarnation(record.incarnation);
  to.set_lost(record.lost);
  to.set_client_address(record.client_address);
  to.set_peer_address(record.peer_address);
  return to;
}

naru::internal::v1::PartitionStateRecord ToRecord(int32_t partition, const PartitionState& state) {
  naru::internal::v1::PartitionStateRecord to;
  to.set_partition(partition);
  Add(state.replicas, *to.mutable_replicas());
  to.set_leader(state.leader.value());
  to.set_leader_epoch(state.leader_epoch.value());
  to.set_partition_epoch(state.epoch.value());
  Add(state.isr, *to.mutable_isr());
  Add(state.elr, *to.mutable_elr());
  Add(state.last_known_elr, *to.mutable_last_known_elr());
  to.set_min_isr(state.min_isr);
  return to;
}

absl::StatusOr<std::pair<BrokerId, BrokerRecord>> FromRecord(const naru::internal::v1::BrokerRecord& record) {
  if (record.broker_id() < 1) return Corrupt("broker_id", record.broker_id(), "1 and more");
  if (record.epoch() < 0) return Corrupt("epoch", record.epoch(), "0 and more");
  return std::pair(BrokerId(record.broker_id()), BrokerRecord{.epoch = BrokerEpoch(record.epoch()),
                                                              .fenced = record.fenced(),
                                                              .incarnation = record.incarnation(),
                                                              .lost = record.lost(),
                                                              .client_address = record.client_address(),
                                                              .peer_address = record.peer_address()});
}

absl::StatusOr<std::pair<int32_t, PartitionState>> FromRecord(
    const naru::internal::v1::PartitionStateRecord& record) {
  PartitionState state;
  if (record.partition() < 0) return Corrupt("partition", record.partition(), "0 and more");
  for (const int32_t id : record.replicas()) {
    if (id < 1 || state.Holds(BrokerId(id))) return Corrupt("replicas", id, "brokers, each once");
    state.replicas.emplace_back(id);
  }
  state.leader = BrokerId(record.leader());
  if (state.leader != kNoBroker && !state.Holds(state.leader)) {
    return Corrupt("leader", record.leader(), "0, or a replica");
  }
  state.leader_epoch = LeaderEpoch(record.leader_epoch());
  state.epoch = PartitionEpoch(record.partition_epoch());
  NARU_ASSIGN_OR_RETURN(state.isr, ReplicaSet("isr", state, record.isr()));
  NARU_ASSIGN_OR_RETURN(state.elr, ReplicaSet("elr", state, record.elr()));
  NARU_ASSIGN_OR_RETURN(state.last_known_elr, ReplicaSet("last_known_elr", state, record.last_known_elr()));
  const auto copies = static_cast<int32_t>(state.replicas.size());
  if (record.min_isr() < 1 || record.min_isr() > copies) {
    return Corrupt("min_isr", record.min_isr(), absl::StrCat("1 to ", copies, ", the replicas"));
  }
  state.min_isr = record.min_isr();
  return std::pair(record.partition(), std::move(state));
}

absl::StatusOr<TopicId> ToTopicId(std::string_view bytes) {
  TopicId id;
  if (bytes.size() != id.size()) {
    return Corrupt("topic_id, bytes", static_cast<int64_t>(bytes.size()), "16");
  }
  std::copy(bytes.begin(), bytes.end(), id.begin());
  return id;
}

}  // namespace naru::cluster
