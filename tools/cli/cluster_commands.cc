#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "clients/cpp/admin.h"
#include "tools/cli/commands.h"
#include "tools/cli/connect.h"
#include "tools/cli/quantity.h"
#include "tools/cli/table.h"

namespace naru::cli {
namespace {

using naru::v1::BrokerState;
using naru::v1::DescribeClusterResponse;

// A broker that has not answered by then is shown as the one that was asked first knows it.
constexpr absl::Duration kOthersTimeout = absl::Seconds(1);

// What a broker does not know of the others, they are asked themselves.
void AskOthers(const GlobalArguments& global, DescribeClusterResponse& cluster) {
  for (BrokerState& broker : *cluster.mutable_brokers()) {
    if (!broker.version().empty() || broker.away()) continue;
    GlobalArguments direct = global;
    direct.servers = {broker.broker().address()};
    direct.timeout = std::min(global.timeout, kOthersTimeout);
    const auto client = MakeClient(direct);
    if (!client.ok()) continue;
    auto told = client::Admin(*client).DescribeCluster();
    if (!told.ok() || told->cluster_id() != cluster.cluster_id()) continue;
    for (BrokerState& itself : *told->mutable_brokers()) {
      if (itself.version().empty() || itself.broker().broker_id() != broker.broker().broker_id()) continue;
      itself.set_coordinator(broker.coordinator());
      broker = std::move(itself);
      break;
    }
  }
}

}  // namespace

int RunDescribeCluster(const GlobalArguments& global) {
  return RunWith<client::Admin>(global, [&](client::Admin& admin) -> absl::StatusOr<std::string> {
    NARU_ASSIGN_OR_RETURN(auto cluster, admin.DescribeCluster());
    AskOthers(global, cluster);
    if (global.output == OutputFormat::kJson) return ToJson(cluster);
    std::string out = absl::StrCat("cluster     ", cluster.cluster_id(), "\n");
    absl::StrAppend(&out, "topics      ", cluster.topic_count(), "\n");
    absl::StrAppend(&out, "partitions  ", cluster.partition_count(), ", ",
                    cluster.under_replicated_partition_count(), " under-replicated, ",
                    cluster.offline_partition_count(), " offline\n");
    for (const auto& broker : cluster.brokers()) {
      if (!broker.coordinator().empty()) absl::StrAppend(&out, "coordinator ", broker.coordinator(), "\n");
    }
    out += "\n";
    using Align = Table::Align;
    Table brokers({{"BROKER", Align::kRight},
                   {"ADDRESS"},
                   {"VERSION"},
                   {"UP", Align::kRight},
                   {"SEGMENTS", Align::kRight},
                   {"LIVE", Align::kRight},
                   {"DISK FREE", Align::kRight},
                   {"DISK", Align::kRight},
                   {"STATE"}});
    for (const auto& broker : cluster.brokers()) {
      if (broker.version().empty()) {
        brokers.AddRow({absl::StrCat(broker.broker().broker_id()), broker.broker().address(), "-", "-", "-",
                        "-", "-", "-", broker.away() ? "AWAY" : "up"});
        continue;
      }
      brokers.AddRow({absl::StrCat(broker.broker().broker_id()), broker.broker().address(), broker.version(),
                      absl::FormatDuration(absl::Seconds(broker.uptime_seconds())),
                      FormatBytes(broker.segment_bytes()), FormatBytes(broker.live_bytes()),
                      FormatBytes(broker.disk_available_bytes()), FormatBytes(broker.disk_total_bytes()),
                      broker.storage_full() ? "STORAGE FULL" : "ok"});
    }
    return out + brokers.Render();
  });
}

int RunElectLeaders(const GlobalArguments& global, const naru::v1::ElectLeadersRequest& request) {
  return RunWith<client::Admin>(global, [&](client::Admin& admin) -> absl::StatusOr<std::string> {
    NARU_ASSIGN_OR_RETURN(const auto elected, admin.ElectLeaders(request));
    if (global.output == OutputFormat::kJson) return ToJson(elected);
    using Align = Table::Align;
    Table leaders({{"PARTITION", Align::kRight}, {"LEADER", Align::kRight}, {"EPOCH", Align::kRight}});
    for (const auto& partition : elected.partitions()) {
      leaders.AddRow({absl::StrCat(partition.partition()),
                      partition.leader() == 0 ? "none" : absl::StrCat(partition.leader()),
                      absl::StrCat(partition.leader_epoch())});
    }
    return leaders.Render();
  });
}

}  // namespace naru::cli
