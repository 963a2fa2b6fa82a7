#include "services/server/server_metrics.h"

#include "services/server/cluster_metrics.h"
#include "services/server/group_metrics.h"
#include "services/server/process_metrics.h"
#include "services/server/service_metrics.h"
#include "services/server/store_metrics.h"

namespace naru::services {
namespace {

void AddMemoryPlan(const MemoryPlan& plan, MetricPage& page) {
  page.Gauge("naru_memory_limit_bytes", "Bound of the resident memory (--memory-limit).", plan.limit_bytes);
  const std::pair<std::string_view, int64_t> parts[] = {
      {"process", plan.process_bytes},
      {"tail_cache", plan.tail_cache_bytes},
      {"store_queue", plan.store_queue_bytes},
      {"index", plan.index_bytes},
      {"compaction", plan.compaction_bytes},
      {"groups", plan.groups_bytes},
      {"produce", plan.produce_bytes},
      {"consume", plan.consume_bytes},
      {"calls", plan.calls_bytes},
      {"transport", plan.transport_bytes},
  };
  for (const auto& [part, bytes] : parts) {
    page.Gauge("naru_memory_budget_bytes", "How the memory limit is shared out.", bytes, {{"part", part}});
  }
}

void AddCatalog(const cluster::TopicCatalog& catalog, MetricPage& page) {
  const cluster::PartitionCounts counts = cluster::CountPartitions(catalog);
  page.Gauge("naru_topics", "Topics.", static_cast<double>(catalog.topics.size()));
  page.Gauge("naru_partitions", "Partitions of all topics.", counts.partitions);
  page.Gauge(
      "naru_partitions_offline",
      "Those of them without a leader, as far as this broker has heard: nothing can be written to them "
      "or read from them.",
      counts.offline);
}

}  // namespace

void ServerMetrics::Attach(const MetricSources& sources) {
  absl::MutexLock lock(&mutex_);
  sources_ = sources;
}

void ServerMetrics::AttachMember(const ClusterMember* member) {
  absl::MutexLock lock(&mutex_);
  member_ = member;
}

void ServerMetrics::Detach() {
  Attach({});
  AttachMember(nullptr);
}

void ServerMetrics::AddLimits(MetricPage& page) const {
  page.Gauge("naru_batch_limit_bytes", "Largest batch taken (--max-batch-bytes).", options_.max_batch_bytes);
  page.Gauge("naru_batch_limit_records", "Most records in a batch (--max-batch-records).",
             options_.max_batch_records);
  page.Gauge("naru_message_limit_bytes", "Largest answer and delivery (--max-message-bytes).",
             options_.max_message_bytes);
  page.Gauge("naru_partitions_limit", "Most partitions of all topics (--max-partitions).",
             options_.max_partitions);
  page.Gauge("naru_subscription_partitions_limit",
             "Most partitions of one subscription (--max-subscription-partitions).",
             options_.consume.subscription_partitions_max);
  page.Gauge("naru_produce_stream_limit_bytes",
             "Unanswered bytes of one produce stream (--produce-stream-bytes).",
             options_.ProduceConfiguration().stream_inflight_bytes_max);
  page.Gauge("naru_produce_stream_limit_items",
             "Unanswered items of one produce stream (--produce-stream-items).",
             options_.produce.stream_inflight_items_max);
  page.Gauge("naru_metadata_watches_limit", "Clients that may watch the metadata (--max-metadata-watches).",
             options_.max_metadata_watches);
  page.Gauge("naru_topic_requests_limit", "Topic requests that may wait (--max-queued-topic-requests).",
             options_.max_queued_topic_requests);
  page.Gauge("naru_groups_limit", "Most groups (--max-groups).", options_.max_groups);
  page.Gauge("naru_group_members_limit", "Most members of one group (--max-group-members).",
             options_.groups.members_max);
  page.Gauge("naru_group_pollers_limit", "Most members that poll (--max-pollers).", options_.max_pollers);
  page.Gauge("naru_group_requests_limit", "Requests to groups that may wait (--max-queued-group-requests).",
             options_.max_queued_group_requests);
  page.Gauge("naru_streams", "Calls and streams of all connections that are open.", calls_.limit().open());
  page.Gauge("naru_streams_limit", "Calls and streams that may be open (--max-streams).",
             calls_.limit().open_max());
  page.Counter("naru_streams_refused_total", "Calls and streams refused because as many were open as may be.",
               calls_.limit().refusals());
  page.Gauge("naru_connection_streams_limit", "Open calls of one connection (--max-streams-per-connection).",
             options_.max_streams_per_connection);
}

std::vector<prometheus::MetricFamily> ServerMetrics::Collect() const {
  MetricPage page;
  AddProcessMetrics(ReadProcessUsage(), start_time_ms_, page);
  AddMemoryPlan(plan_, page);
  page.Counter("naru_memory_returns_total",
               "Times that free memory was given back because the limit was near.",
               memory_returns_.load(std::memory_order_relaxed));
  page.Counter("naru_http_requests_total", "Requests for the monitoring pages.",
               http_.requests.load(std::memory_order_relaxed));
  page.Counter("naru_http_connections_cut_off_total",
               "Monitoring connections closed because they were slow, or others wanted their places.",
               http_.cut_off.load(std::memory_order_relaxed));
  AddLimits(page);
  AddCallMetrics(calls_, page);
  absl::MutexLock lock(&mutex_);
  if (member_ != nullptr) AddClusterMetrics(member_->Snapshot(), page);
  if (sources_.store != nullptr)
    AddStoreMetrics(sources_.store->Stats(), options_.StoreConfiguration(), page);
  if (sources_.catalog != nullptr) AddCatalog(*sources_.catalog->Current(), page);
  if (sources_.produce != nullptr) AddProduceMetrics(sources_.produce->Counters(), page);
  if (sources_.consume != nullptr) AddConsumeMetrics(sources_.consume->Counters(), page);
  if (sources_.group != nullptr) AddGroupMetrics(sources_.group->Counters(), sources_.groups->Stats(), page);
  if (sources_.lag != nullptr) AddGroupLag(*sources_.lag->Report(), page);
  return page.Take();
}

}  // namespace naru::services
