// Everything that narud can be told, as one typed value. option_table.h describes each option for flags, the
// configuration file and the environment; option_sources.h reads them.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "cluster/group/group_machine.h"
#include "services/consume/consume_options.h"
#include "services/group/lag_monitor.h"
#include "services/produce/produce_options.h"
#include "services/server/cluster_options.h"
#include "storage/base/event_log.h"
#include "storage/store/partition_store.h"

namespace naru::services {

enum class LogFormat { kText, kLogfmt, kJson };

// For sizes that are a share of the memory limit unless given (memory_plan.h).
inline constexpr int64_t kAuto = -1;

struct ServerOptions {
  // Where it came from; empty: no file.
  std::string config_file;

  std::string data_dir = "./naru-data";
  // HOST:PORT; port 0 takes a free one.
  std::string listen = "127.0.0.1:9410";
  // HOST:PORT for clients; empty: `listen` with the real port.
  std::string advertise;
  // HOST:PORT, or "off".
  std::string http = "127.0.0.1:9411";
  // Where to write the real addresses; empty: nowhere.
  std::string port_file;

  ClusterOptions cluster;
  // How long a broker may be silent before its partitions are led by others.
  int64_t broker_session_ms = 2'000;
  // How long a replica may lag before the leader goes on without it.
  int64_t replica_lag_ms = 10'000;
  // How often leadership goes back to preferred replicas.
  int64_t leader_rebalance_ms = 10'000;

  // The process's resident memory stays below this.
  int64_t memory_limit_bytes = DefaultMemoryLimitBytes();
  // Shares of it, or kAuto.
  int64_t group_memory_bytes = kAuto;
  int64_t produce_memory_bytes = kAuto;
  int64_t consume_memory_bytes = kAuto;
  int64_t transport_memory_bytes = kAuto;

  // Largest answer of a fetch and largest delivery.
  int64_t max_message_bytes = 3'670'016;
  // Largest batch, compressed or not, and most records in one.
  int64_t max_batch_bytes = int64_t{2} << 20;
  int64_t max_batch_records = 100'000;
  int64_t max_partitions = 100'000;
  int64_t max_streams_per_connection = 1'000;
  // Of all connections; or kAuto, by their share of the memory limit.
  int64_t max_streams = kAuto;
  int64_t max_metadata_watches = 1'000;
  int64_t max_queued_topic_requests = 1'000;
  // How long a connection may be without a call; 0: for ever.
  int64_t idle_connection_timeout_ms = 300'000;

  int64_t max_pollers = 10'000;
  int64_t max_groups = 100'000;
  int64_t max_queued_group_requests = 100'000;
  cluster::GroupLimits groups;
  // Of the internal topic, when it is made.
  int64_t offsets_partitions = 50;
  LagOptions lag;

  // Complete by ProduceConfiguration() and ConsumeConfiguration().
  ProduceOptions produce;
  ConsumeOptions consume;

  int64_t reader_threads = 2;
  // Tail cache, queue and index memory may be kAuto. StoreConfiguration() completes it.
  StoreOptions store = AutoSizedStoreOptions();

  LogFormat log_format = LogFormat::kText;
  Severity log_level = Severity::kInfo;
  // How long calls in flight may go on after SIGTERM.
  int64_t drain_timeout_ms = 10'000;

  // `store` with its directory, its threads and every kAuto resolved; `produce` and `consume` with the limits
  // and the memory that are theirs. Of options that are valid.
  StoreOptions StoreConfiguration() const;
  ProduceOptions ProduceConfiguration() const;
  ConsumeOptions ConsumeConfiguration() const;
  // Of consume memory, what is for metadata that clients have not taken yet.
  int64_t MetadataMemoryBytes() const;

  // What one option cannot say about itself: that limits fit together. INVALID_ARGUMENT names the options.
  absl::Status Validate() const;

  // 1 GiB, or half of the memory that this process may use where that is less; at least the minimum.
  static int64_t DefaultMemoryLimitBytes();
  static StoreOptions AutoSizedStoreOptions();
};

}  // namespace naru::services
