// The composition root: makes every part of a hub from the options, joins them, and takes them apart in
// order. The only place that knows all of them; no part is handed the server.
//
// Start: HTTP (so that /healthz answers while the store recovers), data directory, metadata, store,
// coordinators of topics and of groups, or the member of a cluster, services, gRPC. Stop: the same backwards.
// A process that is only a coordinator has no data directory and no services.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "cluster/coordinator/topic_coordinator.h"
#include "cluster/group/group_coordinator.h"
#include "services/admin/admin_service.h"
#include "services/cluster/cluster_service.h"
#include "services/consume/consume_service.h"
#include "services/group/group_service.h"
#include "services/produce/produce_service.h"
#include "services/rpc/executor.h"
#include "services/server/call_limit.h"
#include "services/server/cluster_member.h"
#include "services/server/data_directory.h"
#include "services/server/grpc_listener.h"
#include "services/server/health.h"
#include "services/server/http_endpoint.h"
#include "services/server/memory_plan.h"
#include "services/server/options.h"
#include "services/server/server_metrics.h"
#include "services/transaction/transaction_service.h"
#include "storage/base/clock.h"
#include "storage/base/event_log.h"
#include "storage/base/ordered_map_store.h"
#include "storage/store/partition_store.h"

namespace naru::services {

class Server {
 public:
  // Serves when it returns. Blocks while the store recovers. `events` outlives the server. Errors have a
  // message for people; INVALID_ARGUMENT is one that other options would avoid, DATA_LOSS a damaged store.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options, EventLog& events);
  // As Shutdown(0).
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Of the gRPC API, with the real port.
  const HostPort& address() const { return listener_.address; }
  // Of gRPC, of HTTP and for other members, for programs: "listen=HOST:PORT\nhttp=HOST:PORT\n", or http=off;
  // in a cluster also "peer=HOST:PORT\n"; without "listen" where clients are not served.
  std::string AddressLines() const;

  // Says that it drains, ends streams and long polls, lets other calls in flight go on for up to
  // `drain_timeout_ms`, and makes everything durable. Blocks. Idempotent; one caller at a time.
  void Shutdown(int64_t drain_timeout_ms);

 private:
  Server(const ServerOptions& options, const MemoryPlan& plan, EventLog& events);

  // The steps of Start.
  absl::Status StartHttp();
  absl::Status OpenStorage();
  absl::Status StartCoordinator();
  absl::Status JoinCluster();
  cluster::GroupCoordinatorOptions GroupOptions() const;
  void StartGroups();
  void MakeServices();
  absl::Status Listen();
  absl::Status Announce();
  // Calls are served, and health checks say so.
  void BeginServing();

  naru::v1::BrokerState DescribeBroker() const;
  // Waits until the services have no call open, for up to `timeout_ms`.
  void WaitForCalls(int64_t timeout_ms);
  // Until stopping_: tells health checks when the disk fills up and empties, and gives free memory back when
  // little is left of the limit.
  void Watch();

  const ServerOptions options_;
  const MemoryPlan plan_;
  // Whom the store asks how far a log is committed; null: nobody yet. Outlives the store.
  std::atomic<const cluster::BrokerProcess*> committed_of_{nullptr};
  StoreOptions store_options_;
  EventLog& events_;
  const SystemClock clock_;
  const int64_t start_time_ms_;

  Health health_;
  CallLimit call_limit_;
  CallMetrics calls_;
  ServerMetrics metrics_;
  std::unique_ptr<HttpEndpoint> http_;

  std::optional<DataDirectory> directory_;
  std::unique_ptr<OrderedMapStore> metadata_;
  std::unique_ptr<PartitionStore> store_;
  // One of the two: this hub alone, or a part of a cluster.
  std::unique_ptr<cluster::TopicCoordinator> coordinator_;
  std::unique_ptr<ClusterMember> member_;
  // What services work on: the store's own, or the cluster's.
  LogStore* logs_ = nullptr;
  cluster::TopicChanger* topics_ = nullptr;
  std::unique_ptr<cluster::GroupCoordinator> groups_;  // of this hub alone
  cluster::GroupCoordinator* group_coordinator_ = nullptr;
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<ProduceService> produce_;
  std::unique_ptr<ConsumeService> consume_;
  std::unique_ptr<AdminService> admin_;
  std::unique_ptr<ClusterService> cluster_;
  std::unique_ptr<GroupService> group_;
  std::unique_ptr<TransactionService> transaction_;
  std::shared_ptr<LagMonitor> lag_;
  GrpcListener listener_;

  bool serving_ = false;  // of Start, then of the watching thread
  absl::Notification stopping_;
  std::thread watch_;
};

}  // namespace naru::services
