#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "clients/cpp/admin.h"
#include "tools/cli/commands.h"
#include "tools/cli/connect.h"
#include "tools/cli/quantity.h"
#include "tools/cli/table.h"

namespace naru::cli {

int RunDescribeCluster(const GlobalArguments& global) {
  return RunWith<client::Admin>(global, [&](client::Admin& admin) -> absl::StatusOr<std::string> {
    NARU_ASSIGN_OR_RETURN(const auto cluster, admin.DescribeCluster());
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
      // Each broker says how it is itself; of the others it knows that they are there.
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
