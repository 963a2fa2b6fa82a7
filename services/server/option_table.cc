#include "services/server/option_table.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "services/server/memory_plan.h"
#include "services/server/option_values.h"
#include "storage/base/strings.h"
#include "storage/base/units.h"

namespace naru::services {
namespace {

constexpr int64_t kHourMs = 3'600'000;

// A reference to a member of ServerOptions, as the table's accessors want it.
#define NARU_OPTION(member) \
  [](ServerOptions & o) -> auto& { return o.member; }  // NOLINT(bugprone-macro-parentheses)

std::vector<OptionSpec> PlaceOptions() {
  return {
      {"config", "Where", "Read options from this YAML file.", TextOption{NARU_OPTION(config_file)}, false},
      {"data-dir", "Where", "Holds everything that is kept. Made when missing; one process at a time.",
       TextOption{NARU_OPTION(data_dir)}},
      {"listen", "Where",
       "Address of the gRPC API. Port 0 takes a free port; standard output then says which, in a line "
       "listen=HOST:PORT.",
       AddressOption{NARU_OPTION(listen)}},
      {"advertise", "Where",
       "Address that clients are told to use. Empty: the listen address with its real port.",
       AddressOption{NARU_OPTION(advertise), "", true, 1}},
      {"http", "Where", "Address of /metrics, /healthz and /readyz. With port 0 the line is http=HOST:PORT.",
       AddressOption{NARU_OPTION(http), "off"}},
      {"port-file", "Where",
       "Once ready, write the real addresses here (lines listen=HOST:PORT and http=HOST:PORT), for scripts.",
       TextOption{NARU_OPTION(port_file)}},
  };
}

std::vector<OptionSpec> ClusterOptionsTable() {
  return {
      {"roles", "Cluster",
       "What this process is in a cluster: broker, coordinator, or both with a comma between.",
       TextOption{NARU_OPTION(cluster.roles)}},
      {"metadata", "Cluster",
       "Where a coordinator keeps the cluster's metadata: etcd://HOST:PORT,…[/PREFIX]. embedded: this hub "
       "runs "
       "alone.",
       TextOption{NARU_OPTION(cluster.metadata)}},
      {"coordinators", "Cluster",
       "Peer addresses of all coordinators, HOST:PORT,…, for brokers. Empty: this process is the one.",
       TextOption{NARU_OPTION(cluster.coordinators)}},
      {"broker-id", "Cluster", "Which broker of the cluster this is. Kept in the data directory.",
       CountOption{NARU_OPTION(cluster.broker_id), 1, INT32_MAX}},
      {"peer-listen", "Cluster",
       "Address for brokers and coordinators of the cluster. With port 0 the line is peer=HOST:PORT. Nobody "
       "else should reach it.",
       AddressOption{NARU_OPTION(cluster.peer_listen)}},
      {"peer-advertise", "Cluster",
       "Address that they are told to use. Empty: the peer-listen address with its real port.",
       AddressOption{NARU_OPTION(cluster.peer_advertise), "", true, 1}},
      {"on-damage", "Cluster",
       "What a broker does at its start with a store that fails its checks: puts it aside and copies "
       "everything "
       "from the others again, or refuses to start.",
       ChoiceOption{[](const ServerOptions& o) { return o.cluster.refetch_damaged ? 0 : 1; },
                    [](ServerOptions& o, int i) { o.cluster.refetch_damaged = i == 0; },
                    {"refetch", "refuse"}}},
      {"replica-catch-up-rate", "Cluster",
       "Bytes a second that replicas which are not in sync may take from this broker, all together, so that "
       "clients have the rest. 0: no bound.",
       SizeOption{NARU_OPTION(cluster.catch_up_bytes_per_second), 0, int64_t{1} << 40}},
      {"broker-session", "Cluster",
       "A broker that the coordinator does not hear of for this long leads nothing any more.",
       DurationOption{NARU_OPTION(broker_session_ms), 500, 60'000}},
      {"replica-lag", "Cluster",
       "A replica that has not had everything for this long is not waited for any more.",
       DurationOption{NARU_OPTION(replica_lag_ms), 500, kHourMs}},
      {"leader-rebalance-interval", "Cluster", "How often leadership goes back to preferred replicas.",
       DurationOption{NARU_OPTION(leader_rebalance_ms), 100, kHourMs}},
  };
}

std::vector<OptionSpec> GroupOptions() {
  return {
      {"offsets-retention", "Groups",
       "How long a group that stays empty keeps its committed positions, from its last member or commit on.",
       DurationOption{NARU_OPTION(groups.offsets_retention_ms), 60'000, INT64_MAX / 1'000'000}},
      {"offsets-partitions", "Groups",
       "Partitions of __consumer_offsets, over which groups are spread. Counts once: when the first group "
       "makes the "
       "topic.",
       CountOption{NARU_OPTION(offsets_partitions), 1, 1'000}},
      {"lag-interval", "Groups", "How often the lag of groups is measured for metrics.",
       DurationOption{NARU_OPTION(lag.interval_ms), 100, kHourMs}},
      {"max-lag-partitions", "Groups",
       "Partitions of groups whose lag is told apart in metrics. Beyond them only the sums of groups are.",
       CountOption{NARU_OPTION(lag.partitions_max), 0, 10'000'000}},
  };
}

std::vector<OptionSpec> MemoryOptions() {
  return {
      {"memory-limit", "Memory",
       "Bound of the process's resident memory. The shares below are parts of it. Default: 1GiB, or half the "
       "machine's memory where that is less.",
       SizeOption{NARU_OPTION(memory_limit_bytes), kMemoryLimitBytesMin, 16 * kTiB}},
      {"tail-cache", "Memory", "The newest batches, kept for readers at the tail.",
       SizeOption{NARU_OPTION(store.tail_cache_bytes), 0, kTiB, true}},
      {"store-queue", "Memory",
       "Batches that wait for the disk. At least --produce-memory, which bounds what comes to it.",
       SizeOption{NARU_OPTION(store.queue_bytes_max), 4 * kMiB, kTiB, true}},
      {"index-memory", "Memory", "Block cache and memtables of the index.",
       SizeOption{NARU_OPTION(store.index_memory_bytes), 4 * kMiB, kTiB, true}},
      {"compaction-memory", "Memory",
       "Keys that one pass of compaction remembers, 32 bytes each. A partition with more takes several "
       "passes.",
       SizeOption{NARU_OPTION(store.compaction_memory_bytes), kMiB, kTiB, true}},
      {"group-memory", "Memory",
       "Members, assignments and committed positions of consumer groups. Beyond: GROUP_MEMORY_FULL for what "
       "would take more.",
       SizeOption{NARU_OPTION(group_memory_bytes), kMiB, kTiB, true}},
      {"produce-memory", "Memory",
       "Produce requests in flight. Beyond it streams are read no further and single calls are refused with "
       "TOO_MANY_IN_FLIGHT. At most --store-queue.",
       SizeOption{NARU_OPTION(produce_memory_bytes), 4 * kMiB, kTiB, true}},
      {"consume-memory", "Memory", "Answers and deliveries on their way to readers. Beyond it readers wait.",
       SizeOption{NARU_OPTION(consume_memory_bytes), 4 * kMiB, kTiB, true}},
      {"transport-memory", "Memory", "Buffers of connections and streams.",
       SizeOption{NARU_OPTION(transport_memory_bytes), 8 * kMiB, kTiB, true}},
  };
}

std::vector<OptionSpec> MessageLimitOptions() {
  return {
      {"max-message-bytes", "Limits",
       "Largest answer of a fetch and largest delivery. Clients refuse more than 4MiB unless told otherwise.",
       SizeOption{NARU_OPTION(max_message_bytes), 64 * kKiB, 64 * kMiB}},
      {"max-batch-bytes", "Limits", "Largest batch taken, compressed or not.",
       SizeOption{NARU_OPTION(max_batch_bytes), 1 * kKiB, 64 * kMiB}},
      {"max-batch-records", "Limits", "Most records in one batch.",
       CountOption{NARU_OPTION(max_batch_records), 1, 10'000'000}},
      {"produce-stream-bytes", "Limits", "A produce stream is not read while more than this is unanswered.",
       SizeOption{NARU_OPTION(produce.stream_inflight_bytes_max), 64 * kKiB, kGiB}},
      {"produce-stream-items", "Limits",
       "A produce stream is not read while more items than this are unanswered.",
       CountOption{NARU_OPTION(produce.stream_inflight_items_max), 1, 1'000'000}},
      {"max-fetch-wait", "Limits", "Longest wait of a fetch for records.",
       DurationOption{NARU_OPTION(consume.wait_ms_max), 0, kHourMs}},
      {"stalled-after", "Limits",
       "While others wait for consume memory, a reader that has not taken a message for this long is cut "
       "off.",
       DurationOption{NARU_OPTION(consume.stalled_after_ms), 100, kHourMs}},
  };
}

std::vector<OptionSpec> CountLimitOptions() {
  return {
      {"max-partitions", "Limits", "Most partitions of all topics together.",
       CountOption{NARU_OPTION(max_partitions), 1, 1'000'000}},
      {"max-subscription-partitions", "Limits", "Most partitions of one subscription.",
       CountOption{NARU_OPTION(consume.subscription_partitions_max), 1, 1'000'000}},
      {"max-metadata-watches", "Limits", "Clients that may watch the metadata at a time.",
       CountOption{NARU_OPTION(max_metadata_watches), 1, 1'000'000}},
      {"max-queued-topic-requests", "Limits", "Requests to make, change or delete topics that may wait.",
       CountOption{NARU_OPTION(max_queued_topic_requests), 1, 1'000'000}},
      {"max-group-members", "Limits", "Members of one consumer group. Beyond: TOO_MANY_MEMBERS.",
       CountOption{NARU_OPTION(groups.members_max), 1, 1'000'000}},
      {"max-groups", "Limits", "Consumer groups. Beyond: TOO_MANY_GROUPS for one more.",
       CountOption{NARU_OPTION(max_groups), 1, 10'000'000}},
      {"max-pollers", "Limits", "Members of all groups that use Poll, each remembered between its calls.",
       CountOption{NARU_OPTION(max_pollers), 1, 1'000'000}},
      {"max-queued-group-requests", "Limits", "Joins, commits and other requests to groups that may wait.",
       CountOption{NARU_OPTION(max_queued_group_requests), 1, 10'000'000}},
      {"max-streams-per-connection", "Limits", "Calls and streams that one connection may have open.",
       CountOption{NARU_OPTION(max_streams_per_connection), 1, 100'000}},
      {"max-streams", "Limits",
       "Calls and streams of all connections together that may be open. Each takes 24KiB of the memory "
       "limit, and "
       "an eighth is kept aside for health checks. Beyond it calls are refused with TOO_MANY_IN_FLIGHT.",
       CountOption{NARU_OPTION(max_streams), 1, 100'000'000, true}},
      {"idle-connection-timeout", "Limits",
       "A connection that has been without a call for this long, or up to twice as long, is closed. Clients "
       "connect again at their next call. 0: never.",
       DurationOption{NARU_OPTION(idle_connection_timeout_ms), 0, 24 * kHourMs}},
  };
}

std::vector<OptionSpec> StoreOptionsTable() {
  return {
      {"segment-bytes", "Store", "Size of a segment file. Space comes back by whole segments.",
       SizeOption{NARU_OPTION(store.segment_bytes), kMiB, 4 * kGiB}},
      {"checkpoint-bytes", "Store", "A start after a crash replays at most about this much.",
       SizeOption{NARU_OPTION(store.checkpoint_bytes), kMiB, kTiB}},
      {"index-verify-bytes", "Store",
       "An index up to this size is read whole at each start, and rebuilt when a checksum is wrong. 0: "
       "never.",
       SizeOption{NARU_OPTION(store.index_verify_bytes_max), 0, 16 * kTiB}},
      {"disk-reserve", "Store",
       "Produces are refused with STORAGE_FULL while the disk has less than this available. 0: never.",
       SizeOption{NARU_OPTION(store.disk_reserve_bytes), 0, 16 * kTiB}},
      {"retention-check-interval", "Store", "How often retention, free space and the disk are looked at.",
       DurationOption{NARU_OPTION(store.maintenance_interval_ms), 10, kHourMs}},
      {"background-sync-interval", "Store",
       "How long topics with DURABILITY_BACKGROUND may wait for the disk.",
       DurationOption{NARU_OPTION(store.background_sync_interval_ms), 1, 60'000}},
      {"compact-below-live-share", "Store",
       "A segment with a smaller share of its bytes alive has the rest copied, to free its space. 0: never.",
       ShareOption{NARU_OPTION(store.compact_below_live_share), 0, 0.9}},
      {"compaction-rate", "Store", "What compaction by key reads in a second, at most.",
       SizeOption{NARU_OPTION(store.compaction_bytes_per_second), kMiB, kTiB}},
      {"compaction-min-dirty", "Store",
       "A partition with fewer bytes not compacted yet is compacted at most once a minute.",
       SizeOption{NARU_OPTION(store.compaction_dirty_bytes_min), 0, kTiB}},
      {"producer-expiry", "Store",
       "A partition forgets an idempotent producer that has written nothing to it for this long; should it "
       "write "
       "again without a new epoch, it is refused with OUT_OF_ORDER_SEQUENCE.",
       DurationOption{NARU_OPTION(store.producer_expiry_ms), 1'000, INT64_MAX / 1'000'000}},
      {"reader-threads", "Store", "Threads that read what is not in memory.",
       CountOption{NARU_OPTION(reader_threads), 1, 64}},
  };
}

std::vector<OptionSpec> RunOptions() {
  return {
      {"log-format", "Run", "Form of the log on standard error.",
       ChoiceOption{[](const ServerOptions& o) { return static_cast<int>(o.log_format); },
                    [](ServerOptions& o, int i) { o.log_format = static_cast<LogFormat>(i); },
                    {"text", "logfmt", "json"}}},
      {"log-level", "Run", "Events of less weight are left out.",
       ChoiceOption{[](const ServerOptions& o) { return static_cast<int>(o.log_level); },
                    [](ServerOptions& o, int i) { o.log_level = static_cast<Severity>(i); },
                    {"debug", "info", "warning", "error"}}},
      {"drain-timeout", "Run", "After SIGTERM or SIGINT, how long calls in flight may go on.",
       DurationOption{NARU_OPTION(drain_timeout_ms), 0, kHourMs}},
  };
}
#undef NARU_OPTION

std::vector<OptionSpec> MakeTable() {
  std::vector<OptionSpec> table;
  for (auto part : {PlaceOptions, ClusterOptionsTable, MemoryOptions, MessageLimitOptions, CountLimitOptions,
                    GroupOptions, StoreOptionsTable, RunOptions}) {
    for (OptionSpec& spec : part()) table.push_back(std::move(spec));
  }
  return table;
}

// One function for each kind of option, so that what a kind is stands in one place.
struct AllowedText {
  std::string operator()(const TextOption&) const { return "any text"; }
  std::string operator()(const AddressOption& o) const {
    return absl::StrCat("HOST:PORT such as 127.0.0.1:9410 or [::1]:9410, with a port from ", o.port_min,
                        " to 65535", o.or_word.empty() ? "" : absl::StrCat(", or ", o.or_word),
                        o.or_empty ? ", or nothing" : "");
  }
  std::string operator()(const SizeOption& o) const {
    return absl::StrCat("a size from ", FormatSize(o.min), " to ", FormatSize(o.max), ", such as 64MiB",
                        o.automatic ? ", or auto" : "");
  }
  std::string operator()(const DurationOption& o) const {
    return absl::StrCat("a duration from ", FormatDuration(o.min_ms), " to ", FormatDuration(o.max_ms),
                        ", such as 100ms or 5s");
  }
  std::string operator()(const CountOption& o) const {
    return absl::StrCat("a whole number from ", o.min, " to ", o.max, o.automatic ? ", or auto" : "");
  }
  std::string operator()(const ShareOption& o) const {
    return absl::StrCat("a number from ", o.min, " to ", o.max);
  }
  std::string operator()(const ChoiceOption& o) const {
    return absl::StrCat("one of ", absl::StrJoin(o.words, ", ", absl::StreamFormatter()));
  }
};

// True when `text` was good and is now in `options`.
struct SetValue {
  ServerOptions& options;
  std::string_view text;

  bool operator()(const TextOption& o) const {
    o.value(options) = std::string(text);
    return true;
  }
  bool operator()(const AddressOption& o) const {
    const bool word = !o.or_word.empty() && text == o.or_word;
    const bool none = o.or_empty && text.empty();
    const absl::StatusOr<HostPort> address = ParseHostPort(text);
    if (!word && !none && (!address.ok() || address->port < o.port_min)) return false;
    o.value(options) = std::string(text);
    return true;
  }
  bool operator()(const SizeOption& o) const {
    if (o.automatic && text == "auto") {
      o.value(options) = kAuto;
      return true;
    }
    return Number(ParseSize(text), o.min, o.max, o.value(options));
  }
  bool operator()(const DurationOption& o) const {
    return Number(ParseDuration(text), o.min_ms, o.max_ms, o.value(options));
  }
  bool operator()(const CountOption& o) const {
    if (o.automatic && text == "auto") {
      o.value(options) = kAuto;
      return true;
    }
    return Number(ParseCount(text), o.min, o.max, o.value(options));
  }
  bool operator()(const ShareOption& o) const {
    return Number(ParseShare(text), o.min, o.max, o.value(options));
  }
  bool operator()(const ChoiceOption& o) const {
    for (size_t i = 0; i < o.words.size(); ++i) {
      if (text != o.words[i]) continue;
      o.set(options, static_cast<int>(i));
      return true;
    }
    return false;
  }

  template <typename T>
  static bool Number(const absl::StatusOr<T>& parsed, T min, T max, T& to) {
    if (!parsed.ok() || *parsed < min || *parsed > max) return false;
    to = *parsed;
    return true;
  }
};

struct GetValue {
  ServerOptions& options;
  std::string operator()(const TextOption& o) const { return o.value(options); }
  std::string operator()(const AddressOption& o) const { return o.value(options); }
  std::string operator()(const SizeOption& o) const {
    const int64_t bytes = o.value(options);
    return bytes == kAuto ? "auto" : FormatSize(bytes);
  }
  std::string operator()(const DurationOption& o) const { return FormatDuration(o.value(options)); }
  std::string operator()(const CountOption& o) const {
    const int64_t count = o.value(options);
    return count == kAuto ? "auto" : absl::StrCat(count);
  }
  std::string operator()(const ShareOption& o) const { return absl::StrCat(o.value(options)); }
  std::string operator()(const ChoiceOption& o) const {
    return std::string(o.words[static_cast<size_t>(o.get(options))]);
  }
};

struct TypeNames {
  std::string_view operator()(const TextOption&) const { return "TEXT"; }
  std::string_view operator()(const AddressOption&) const { return "HOST:PORT"; }
  std::string_view operator()(const SizeOption&) const { return "SIZE"; }
  std::string_view operator()(const DurationOption&) const { return "DURATION"; }
  std::string_view operator()(const CountOption&) const { return "NUMBER"; }
  std::string_view operator()(const ShareOption&) const { return "NUMBER"; }
  std::string_view operator()(const ChoiceOption&) const { return "WORD"; }
};

}  // namespace

std::string OptionSpec::Flag() const { return absl::StrCat("--", name); }
std::string OptionSpec::FileKey() const { return absl::StrReplaceAll(Absl(name), {{"-", "_"}}); }
std::string OptionSpec::Environment() const {
  return absl::StrCat("NARU_", absl::AsciiStrToUpper(FileKey()));
}
std::string_view OptionSpec::TypeName() const { return std::visit(TypeNames{}, type); }
std::string OptionSpec::Allowed() const { return std::visit(AllowedText{}, type); }

absl::Status OptionSpec::Set(ServerOptions& options, std::string_view text) const {
  if (std::visit(SetValue{options, text}, type)) return absl::OkStatus();
  return absl::InvalidArgumentError(Allowed());
}

std::string OptionSpec::Get(const ServerOptions& options) const {
  ServerOptions copy = options;
  return std::visit(GetValue{copy}, type);
}

std::span<const OptionSpec> OptionTable() {
  static const auto* table = new std::vector<OptionSpec>(MakeTable());
  return *table;
}

const OptionSpec* FindOption(std::string_view name) {
  for (const OptionSpec& spec : OptionTable()) {
    if (spec.name == name) return &spec;
  }
  return nullptr;
}

}  // namespace naru::services
