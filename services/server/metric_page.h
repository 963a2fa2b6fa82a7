// One answer to a scrape while it is put together, and its text. Not thread-safe.
//
// Names follow Prometheus's conventions: naru_ first, base units (_bytes, _seconds), _total for counters.
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <initializer_list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "services/rpc/latency_buckets.h"

namespace naru::services {

class MetricPage {
 public:
  using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

  // A counter or a gauge; the same name again, with other labels, adds to its family. The format has doubles:
  // counts are exact up to 2^53.
  void Counter(std::string_view name, std::string_view help, double value, Labels labels = {});
  void Gauge(std::string_view name, std::string_view help, double value, Labels labels = {});
  // Of latencies, in seconds.
  void Histogram(std::string_view name, std::string_view help, const LatencyBuckets::Snapshot& latencies);

  std::vector<prometheus::MetricFamily> Take() { return std::move(families_); }

 private:
  prometheus::ClientMetric& Add(std::string_view name, std::string_view help, prometheus::MetricType type,
                                Labels labels);

  std::vector<prometheus::MetricFamily> families_;
  std::unordered_map<std::string, size_t> places_;
};

// The text form of version 0.0.4.
std::string RenderMetrics(const prometheus::Collectable& metrics);

}  // namespace naru::services
