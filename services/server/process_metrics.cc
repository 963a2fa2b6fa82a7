#include "services/server/process_metrics.h"

#include <grpcpp/grpcpp.h>

#include <array>

#include "services/server/build_info.h"

namespace naru::services {
namespace {

constexpr std::array<std::string_view, CallMetrics::kCodes> kCodeNames = {
    "OK",        "CANCELLED",       "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS",  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",    "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED",
};

}  // namespace

void AddProcessMetrics(const ProcessUsage& usage, int64_t start_time_ms, MetricPage& page) {
  page.Gauge("naru_build_info", "Always 1; the labels say which build runs.", 1,
             {{"version", kVersion}, {"grpc_version", grpc::Version()}});
  page.Gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.",
             static_cast<double>(start_time_ms) / 1e3);
  page.Gauge("process_resident_memory_bytes", "Resident memory size in bytes.",
             static_cast<double>(usage.resident_bytes));
  page.Gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.",
             static_cast<double>(usage.virtual_bytes));
  page.Counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.",
               usage.cpu_seconds);
  page.Gauge("process_threads", "Threads of the process.", static_cast<double>(usage.threads));
  page.Gauge("process_open_fds", "Number of open file descriptors.", static_cast<double>(usage.open_files));
  page.Gauge("process_max_fds", "Maximum number of open file descriptors.",
             static_cast<double>(usage.open_files_max));
}

void AddCallMetrics(const CallMetrics& calls, MetricPage& page) {
  calls.Visit([&page](const CallMetrics::Method& method) {
    const std::string_view service = method.service;
    const std::string_view name = method.name;
    const int64_t started = method.started.load(std::memory_order_relaxed);
    page.Counter("naru_grpc_calls_started_total", "Calls begun.", static_cast<double>(started),
                 {{"service", service}, {"method", name}});
    for (size_t code = 0; code < CallMetrics::kCodes; ++code) {
      const int64_t count = method.finished[code].load(std::memory_order_relaxed);
      if (count == 0 && code != 0) continue;
      page.Counter("naru_grpc_calls_finished_total", "Calls ended, by status.", static_cast<double>(count),
                   {{"service", service}, {"method", name}, {"code", kCodeNames[code]}});
    }
    page.Gauge("naru_grpc_calls_in_progress", "Calls and streams that are open.",
               static_cast<double>(method.InProgress()), {{"service", service}, {"method", name}});
    page.Counter("naru_grpc_call_seconds_total", "Time that ended calls took.",
                 static_cast<double>(method.handling_ns.load(std::memory_order_relaxed)) / 1e9,
                 {{"service", service}, {"method", name}});
  });
}

}  // namespace naru::services
