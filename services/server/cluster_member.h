// This process as a part of a cluster: its coordinator, its broker, or both, and the address at which other
// members reach them. Made and taken apart by the server.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "cluster/broker/broker_process.h"
#include "cluster/broker/cluster_groups.h"
#include "cluster/coordinator/coordinator_process.h"
#include "cluster/etcd/etcd_cluster_store.h"
#include "cluster/group/group_coordinator.h"
#include "cluster/metadata/broker_identity.h"
#include "cluster/transport/coordinator_service.h"
#include "cluster/transport/grpc_links.h"
#include "cluster/transport/peer_service.h"
#include "services/server/options.h"
#include "storage/base/clock.h"
#include "storage/base/event_log.h"
#include "storage/base/ordered_map_store.h"
#include "storage/log/log_store.h"

namespace naru::services {

struct ClusterMemberSnapshot {
  std::optional<cluster::BrokerProcessSnapshot> broker;
  std::optional<cluster::CoordinatorSnapshot> coordinator;
  std::optional<cluster::EtcdStats> etcd;
};

// For the internal topic of groups' positions, when it is made.
naru::v1::CreateTopicRequest OffsetsTopicRequest(const ServerOptions& options);

// Thread-safe once open.
class ClusterMember {
 public:
  // Listens for other members when it returns, and a coordinator stands for election. `store` and `metadata`
  // are the broker's, and null when it is none; everything outlives the member. Blocks on disk.
  static absl::StatusOr<std::unique_ptr<ClusterMember>> Open(const ServerOptions& options,
                                                             const cluster::GroupCoordinatorOptions& groups,
                                                             LogStore* store, OrderedMapStore* metadata,
                                                             const Clock& clock, EventLog& events);
  ~ClusterMember();

  // The broker's: comes to the coordinator, as reached by clients at this address.
  void Attend(const std::string& client_address);

  // Null when it is none.
  cluster::BrokerProcess* broker() { return broker_.get(); }
  // The broker's: all groups of the cluster, and the coordinator of those that are here.
  cluster::Groups& groups() { return *cluster_groups_; }
  cluster::GroupCoordinator& group_coordinator() { return *group_coordinator_; }
  // host:port, as told to other members.
  const std::string& address() const { return address_; }
  ClusterMemberSnapshot Snapshot() const;

  // Leaves the cluster; what waits fails. Idempotent; blocks.
  void Stop();

 private:
  ClusterMember(const ServerOptions& options, const Clock& clock, EventLog& events)
      : options_(options), clock_(clock), events_(events) {}
  absl::Status MakeBroker(const cluster::GroupCoordinatorOptions& groups, LogStore& store,
                          OrderedMapStore& metadata);
  absl::Status MakeCoordinator();
  absl::Status Listen();
  void OnRegistered(const std::string& cluster_id);

  const ServerOptions options_;
  const Clock& clock_;
  EventLog& events_;
  OrderedMapStore* metadata_ = nullptr;
  cluster::BrokerIdentity identity_;
  cluster::GrpcLinks links_;
  std::unique_ptr<cluster::EtcdClusterStore> etcd_;
  std::unique_ptr<cluster::CoordinatorProcess> coordinator_;
  std::unique_ptr<cluster::CoordinatorService> coordinator_service_;
  std::unique_ptr<cluster::BrokerProcess> broker_;
  std::unique_ptr<cluster::GroupCoordinator> group_coordinator_;
  std::unique_ptr<cluster::ClusterGroups> cluster_groups_;
  std::unique_ptr<cluster::PeerService> peer_service_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
  bool stopped_ = false;
};

}  // namespace naru::services
