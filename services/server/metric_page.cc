#include "services/server/metric_page.h"

#include <prometheus/text_serializer.h>

#include <limits>

namespace naru::services {

prometheus::ClientMetric& MetricPage::Add(std::string_view name, std::string_view help,
                                          prometheus::MetricType type, Labels labels) {
  const auto [place, is_new] = places_.emplace(name, families_.size());
  if (is_new) families_.push_back({std::string(name), std::string(help), type, {}});
  prometheus::ClientMetric metric;
  for (const auto& [label, value] : labels) metric.label.push_back({std::string(label), std::string(value)});
  auto& metrics = families_[place->second].metric;
  metrics.push_back(std::move(metric));
  return metrics.back();
}

void MetricPage::Counter(std::string_view name, std::string_view help, double value, Labels labels) {
  Add(name, help, prometheus::MetricType::Counter, labels).counter.value = value;
}

void MetricPage::Gauge(std::string_view name, std::string_view help, double value, Labels labels) {
  Add(name, help, prometheus::MetricType::Gauge, labels).gauge.value = value;
}

void MetricPage::Histogram(std::string_view name, std::string_view help,
                           const LatencyBuckets::Snapshot& latencies) {
  auto& histogram = Add(name, help, prometheus::MetricType::Histogram, {}).histogram;
  uint64_t count = 0;
  for (size_t i = 0; i < LatencyBuckets::kBuckets; ++i) {
    count += static_cast<uint64_t>(latencies.counts[i]);
    const bool last = i + 1 == LatencyBuckets::kBuckets;
    const double bound = last ? std::numeric_limits<double>::infinity()
                              : static_cast<double>(LatencyBuckets::UpperBoundNs(i)) / 1e9;
    histogram.bucket.push_back({count, bound});
  }
  histogram.sample_count = count;
  histogram.sample_sum = static_cast<double>(latencies.sum_ns) / 1e9;
}

std::string RenderMetrics(const prometheus::Collectable& metrics) {
  return prometheus::TextSerializer().prometheus::Serializer::Serialize(metrics.Collect());
}

}  // namespace naru::services
