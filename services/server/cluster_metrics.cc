#include "services/server/cluster_metrics.h"

#include <string_view>
#include <utility>

namespace naru::services {
namespace {

void AddBroker(const cluster::BrokerProcessSnapshot& broker, MetricPage& page) {
  page.Gauge("naru_broker_attending", "1: this broker has a session with the elected coordinator.",
             broker.coordinator.empty() ? 0 : 1);
  page.Gauge("naru_broker_epoch", "Of this broker's registration; 0: it has none.", broker.broker_epoch);
  page.Gauge("naru_cluster_metadata_version", "Of the cluster's metadata that this broker works by.",
             broker.version);
  page.Gauge("naru_replicas", "Partitions that this broker holds a copy of.", broker.replicas.replicas);
  page.Gauge("naru_partitions_led", "Partitions that this broker leads.", broker.replicas.led);
  page.Gauge("naru_partitions_under_replicated",
             "Partitions that this broker leads of which not all copies are in sync.",
             broker.replicas.under_replicated);
  page.Gauge(
      "naru_partitions_under_min_isr",
      "Partitions that this broker leads with fewer copies in sync than min_in_sync_replicas: nothing is "
      "committed.",
      broker.replicas.under_min_isr);
  page.Gauge(
      "naru_replica_lag_offsets_max",
      "Of the followers of partitions that this broker leads, how far the one that is farthest behind is.",
      broker.replicas.lag_offsets_max);
  page.Counter("naru_partition_elections_total", "Times that this broker began to lead a partition.",
               broker.replicas.elections);
  page.Counter("naru_replica_catch_up_bytes_total", "Batches given to replicas that were not in sync.",
               broker.replicas.catch_up_bytes);
  page.Gauge("naru_replica_catch_up_waiting",
             "Fetches of replicas that are not in sync that wait because of --replica-catch-up-rate.",
             broker.replicas.catch_up_waiting);
  page.Gauge("naru_replicas_damaged",
             "Copies on this broker in which something fails its checksum: they are made anew as soon as "
             "another one leads.",
             broker.replicas.damaged);
}

void AddCoordinator(const cluster::CoordinatorSnapshot& coordinator, MetricPage& page) {
  page.Gauge("naru_coordinator_active", "1: this process is the elected coordinator.",
             coordinator.active ? 1 : 0);
  page.Counter("naru_coordinator_elections_total", "Elections that this process has won.",
               coordinator.elections_won);
  page.Gauge("naru_coordinator_sessions", "Brokers that attend this coordinator.", coordinator.sessions);
  page.Gauge("naru_coordinator_metadata_version", "Of the metadata that this coordinator has written.",
             coordinator.version);
}

void AddEtcd(const cluster::EtcdStats& etcd, MetricPage& page) {
  page.Gauge("naru_etcd_reachable", "1: etcd answered the last request.", etcd.reachable ? 1 : 0);
  const std::pair<std::string_view, int64_t> writes[] = {{"written", etcd.writes_written},
                                                         {"overtaken", etcd.writes_overtaken},
                                                         {"deposed", etcd.writes_deposed},
                                                         {"unknown", etcd.writes_unknown},
                                                         {"refused", etcd.writes_refused}};
  for (const auto& [outcome, count] : writes) {
    page.Counter("naru_etcd_writes_total", "Writes of metadata, by what became of them.", count,
                 {{"outcome", outcome}});
  }
  page.Counter("naru_etcd_requests_failed_total", "Requests to etcd without an answer.",
               etcd.requests_failed);
}

}  // namespace

void AddClusterMetrics(const ClusterMemberSnapshot& snapshot, MetricPage& page) {
  if (snapshot.broker) AddBroker(*snapshot.broker, page);
  if (snapshot.coordinator) AddCoordinator(*snapshot.coordinator, page);
  if (snapshot.etcd) AddEtcd(*snapshot.etcd, page);
}

}  // namespace naru::services
