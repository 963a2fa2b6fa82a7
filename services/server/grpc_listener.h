// The gRPC server: one listening address for all services, with health checks, reflection and the limits of
// the options.
#pragma once

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "services/server/call_metrics.h"
#include "services/server/option_values.h"

namespace naru::services {

struct GrpcListenerOptions {
  HostPort address;
  // Largest message taken.
  int64_t receive_bytes_max = 0;
  // gRPC slows connections down, and then ends calls, when its buffers pass this.
  int64_t quota_bytes = 0;
  // How much of one stream may be on the way unread; 0: as the connection's speed suggests.
  int64_t stream_window_bytes = 0;
  int64_t streams_per_connection_max = 0;
  // Connections are closed after this long without a call, pings or none; 0: never. At most INT_MAX.
  int64_t idle_connection_timeout_ms = 0;
};

struct GrpcListener {
  std::unique_ptr<grpc::Server> server;
  // With the real port.
  HostPort address;
};

// Serves when it returns; every health check says NOT_SERVING until told otherwise. UNAVAILABLE when the
// address cannot be had, also when another process listens there. `services` and `metrics` outlive the
// server.
absl::StatusOr<GrpcListener> StartGrpcListener(const GrpcListenerOptions& options,
                                               const std::vector<grpc::Service*>& services,
                                               CallMetrics& metrics);

}  // namespace naru::services
