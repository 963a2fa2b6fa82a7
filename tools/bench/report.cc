#include "tools/bench/report.h"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

namespace naru::bench {
namespace {

std::string Format(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof(text), format, value);
  return value < 0 ? "-" : text;
}

std::string Rate(double per_second) {
  if (per_second >= 1e6) return Format("%.2fM", per_second / 1e6);
  return per_second >= 1e4 ? Format("%.0fk", per_second / 1e3) : Format("%.0f", per_second);
}

std::string Ms(const Histogram& h, double percent) {
  if (!h.count()) return "-";
  const double ms = static_cast<double>(percent < 100 ? h.Percentile(percent) : h.max()) / 1e6;
  return Format(ms < 10 ? "%.2f" : "%.0f", ms);
}

}  // namespace

CpuMeter::CpuMeter(pid_t server, std::string data_folder)
    : server_(server),
      data_folder_(std::move(data_folder)),
      disk_(DiskBytesWritten(data_folder_)),
      begin_ns_(NowNs()),
      client_(OwnStats()),
      hub_(ReadProcessStats(server).value_or(ProcessStats())) {}

void CpuMeter::Apply(Figure& figure) const {
  const double seconds = static_cast<double>(NowNs() - begin_ns_) / 1e9;
  figure.client_cores = (OwnStats().cpu_seconds() - client_.cpu_seconds()) / seconds;
  const auto hub = ReadProcessStats(server_);
  if (server_ <= 0 || !hub.ok()) return;
  figure.server_cores = (hub->cpu_seconds() - hub_.cpu_seconds()) / seconds;
  figure.server_resident_mb = static_cast<double>(hub->resident_bytes) / 1e6;
  const double payload = figure.bytes_per_second * seconds;
  const std::optional<int64_t> disk = DiskBytesWritten(data_folder_);
  if (payload > 0 && disk && disk_) figure.written_per_byte = static_cast<double>(*disk - *disk_) / payload;
}

Figure ToFigure(std::string workload, const Tally& tally, double seconds) {
  Figure figure;
  figure.workload = std::move(workload);
  figure.seconds = seconds;
  figure.records_per_second = static_cast<double>(tally.records) / seconds;
  figure.bytes_per_second = static_cast<double>(tally.payload_bytes) / seconds;
  figure.latency = tally.latency;
  figure.latency_of = "answer";
  figure.failures = tally.failures;
  figure.first_failure = tally.first_failure;
  return figure;
}

std::string TableHead() {
  char line[256];
  std::snprintf(line, sizeof(line), "%-52s %8s %8s %6s %6s %6s %6s %6s %6s %6s", "workload", "rec/s", "MB/s",
                "p50 ms", "p99", "p99.9", "max", "client", "hub", "limit");
  return line;
}

std::string TableLine(const Figure& f) {
  char line[512];
  std::snprintf(line, sizeof(line), "%-52s %8s %8s %6s %6s %6s %6s %6s %6s %6s", f.workload.c_str(),
                Rate(f.records_per_second).c_str(),
                f.bytes_per_second < 0 ? "-" : Format("%.1f", f.bytes_per_second / 1e6).c_str(),
                Ms(f.latency, 50).c_str(), Ms(f.latency, 99).c_str(), Ms(f.latency, 99.9).c_str(),
                Ms(f.latency, 100).c_str(), Format("%.2f", f.client_cores).c_str(),
                Format("%.2f", f.server_cores).c_str(),
                f.shares.empty() ? "-" : Format("%.0f%%", f.shares.front().second * 100).c_str());
  std::string text = line;
  std::string shares;
  for (const auto& [name, share] : f.shares) {
    shares += (shares.empty() ? "\n    " : "; ") + Format("%.0f%%", share * 100) + " of " + name;
  }
  text += shares;
  if (f.failures > 0)
    text += "\n    " + std::to_string(f.failures) + " failed; the first: " + f.first_failure;
  return text;
}

std::string ToJson(const std::vector<Figure>& figures) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const Figure& f : figures) {
    nlohmann::ordered_json one;
    one["workload"] = f.workload;
    one["seconds"] = f.seconds;
    const auto put = [&one](const char* name, double value) {
      if (value >= 0) one[name] = value;
    };
    put("records_per_second", f.records_per_second);
    put("bytes_per_second", f.bytes_per_second);
    put("client_cores", f.client_cores);
    put("server_cores", f.server_cores);
    put("server_resident_mb", f.server_resident_mb);
    put("written_bytes_per_byte", f.written_per_byte);
    for (const auto& [name, share] : f.shares) one["shares"][name] = share;
    if (!f.shares.empty()) {
      one["limit"] = f.shares.front().first;
      one["share_of_limit"] = f.shares.front().second;
    }
    if (f.latency.count()) {
      auto& latency = one["latency_ms"];
      latency["of"] = f.latency_of;
      latency["count"] = f.latency.count();
      latency["mean"] = f.latency.mean() / 1e6;
      for (const auto& [name, percent] :
           {std::pair("p50", 50.0), {"p90", 90.0}, {"p99", 99.0}, {"p99.9", 99.9}, {"p99.99", 99.99}}) {
        latency[name] = static_cast<double>(f.latency.Percentile(percent)) / 1e6;
      }
      latency["max"] = static_cast<double>(f.latency.max()) / 1e6;
    }
    one["failures"] = f.failures;
    if (f.failures) one["first_failure"] = f.first_failure;
    all.push_back(std::move(one));
  }
  return nlohmann::ordered_json{{"figures", std::move(all)}}.dump(2);
}

}  // namespace naru::bench
