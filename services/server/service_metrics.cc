#include "services/server/service_metrics.h"

#include "storage/base/status.h"

namespace naru::services {
void AddErrors(std::string_view name, std::string_view help, const ReasonCounters::Snapshot& errors,
               MetricPage& page) {
  for (size_t i = 0; i < kReasonCount; ++i) {
    const auto reason = static_cast<Reason>(i);
    if (errors[i] == 0 && reason != Reason::kInternal) continue;
    page.Counter(name, help, errors[i], {{"reason", ReasonName(reason)}});
  }
}

void AddProduceMetrics(const ProduceSnapshot& p, MetricPage& page) {
  page.Counter("naru_produce_calls_total", "Single produce calls.", p.calls);
  page.Counter("naru_produce_streams_total", "Produce streams begun.", p.streams);
  page.Gauge("naru_produce_streams", "Produce streams that are open.", p.streams_open);
  page.Counter("naru_produce_stream_items_total", "Items read from produce streams.", p.stream_items);
  page.Gauge("naru_produce_inflight", "Calls and items that are not answered yet.", p.inflight);
  page.Counter("naru_produce_records_total", "Records appended for producers.", p.records);
  page.Counter("naru_produce_bytes_total", "Bytes of batches appended for producers.", p.bytes);
  page.Counter("naru_produce_duplicates_total",
               "Batches of idempotent producers that had been appended before, and were answered so.",
               p.duplicates);
  page.Counter("naru_produce_memory_refusals_total",
               "Produces that had to wait or were refused because produce memory was full.",
               p.memory_refusals);
  page.Gauge("naru_produce_memory_used_bytes", "Bytes of requests that wait for the store.",
             p.memory_used_bytes);
  page.Gauge("naru_produce_memory_waiting_bytes", "Bytes of requests that wait for memory.",
             p.memory_waiting_bytes);
  page.Gauge("naru_produce_reading_bytes",
             "Bytes that produce streams may be reading, or have read and wait with.", p.reading_bytes);
  page.Counter("naru_produce_read_waits_total",
               "Reads of produce streams that had to wait until others had read.", p.read_waits);
  AddErrors("naru_produce_errors_total", "Failed produces, by reason.", p.errors, page);
  page.Histogram("naru_produce_ack_seconds", "From the request read to the append done.", p.ack);
}

void AddConsumeMetrics(const ConsumeSnapshot& c, MetricPage& page) {
  page.Counter("naru_consume_fetches_total", "Fetch calls.", c.fetches);
  page.Gauge("naru_consume_fetches", "Fetch calls that are open, those that wait for records included.",
             c.fetches_open);
  page.Counter("naru_consume_streams_total", "Subscriptions begun.", c.streams);
  page.Gauge("naru_consume_streams", "Subscriptions that are open.", c.streams_open);
  page.Counter("naru_consume_list_offsets_calls_total", "ListOffsets calls.", c.list_calls);
  page.Counter("naru_consume_deliveries_total", "Deliveries of subscriptions.", c.deliveries);
  page.Counter("naru_consume_records_total", "Records delivered.", c.records);
  page.Counter("naru_consume_bytes_total", "Bytes of messages with records.", c.bytes);
  page.Counter("naru_consume_stalled_total", "Readers cut off because they did not read while others waited.",
               c.stalled);
  page.Counter("naru_consume_memory_refusals_total",
               "Reads that had to wait because consume memory was full.", c.memory_refusals);
  page.Gauge("naru_consume_memory_used_bytes", "Bytes of answers that the network has not taken.",
             c.memory_used_bytes);
  page.Gauge("naru_consume_memory_waiting_bytes", "Bytes that calls and subscriptions wait for.",
             c.memory_waiting_bytes);
  AddErrors("naru_consume_errors_total", "Failed fetches, subscriptions and look-ups, by reason.", c.errors,
            page);
  page.Histogram("naru_consume_fetch_seconds", "From request to answer, waiting for records included.",
                 c.fetch);
}

}  // namespace naru::services
