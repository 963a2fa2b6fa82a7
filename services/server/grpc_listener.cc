#include "services/server/grpc_listener.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>

#include <limits>
#include <utility>

#include "grpc/health/v1/health.pb.h"
#include "services/server/event_logger.h"
#include "services/server/listen_error.h"

namespace naru::services {
namespace {

// Clients may ping every 10 s; the floor leaves room for clocks and queues that run unevenly.
constexpr int kPingIntervalMsMin = 8'000;
// A client that is gone without a word is noticed within a minute.
constexpr int kKeepaliveMs = 40'000;
constexpr int kKeepaliveTimeoutMs = 20'000;
// Reflection streams open at a time, about; more are RESOURCE_EXHAUSTED.
constexpr int kSynchronousThreadsMax = 64;

void SetChannelArguments(grpc::ServerBuilder& builder, const GrpcListenerOptions& options) {
  // A second server on the address must fail, not share it.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kPingIntervalMsMin);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                             static_cast<int>(options.streams_per_connection_max));
  if (options.idle_connection_timeout_ms > 0) {
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS,
                               static_cast<int>(options.idle_connection_timeout_ms));
  }
  if (options.stream_window_bytes > 0) {
    builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES,
                               static_cast<int>(options.stream_window_bytes));
  }
  builder.SetMaxReceiveMessageSize(static_cast<int>(options.receive_bytes_max));
  builder.SetMaxSendMessageSize(-1);
}

}  // namespace

absl::StatusOr<GrpcListener> StartGrpcListener(const GrpcListenerOptions& options,
                                               const std::vector<grpc::Service*>& services,
                                               CallMetrics& metrics) {
  // Both are switches of the library for the whole process.
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  // The library describes the health service by this file only if somebody links it.
  google::protobuf::LinkMessageReflection<grpc::health::v1::HealthCheckRequest>();

  grpc::ServerBuilder builder;
  SetChannelArguments(builder, options);
  grpc::ResourceQuota quota("naru");
  quota.Resize(static_cast<size_t>(options.quota_bytes));
  // Only reflection is served by synchronous calls, a thread for each open stream.
  quota.SetMaxThreads(kSynchronousThreadsMax);
  builder.SetResourceQuota(quota);
  int port = 0;
  builder.AddListeningPort(options.address.ToString(), grpc::InsecureServerCredentials(), &port);
  for (grpc::Service* service : services) builder.RegisterService(service);
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> interceptors;
  interceptors.push_back(metrics.MakeInterceptors());
  builder.experimental().SetInterceptorCreators(std::move(interceptors));

  const LibraryLogPause pause;  // ListenError says it better
  GrpcListener listener{builder.BuildAndStart(), {options.address.host, port}};
  if (listener.server == nullptr || port <= 0) return ListenError("listen", options.address);
  listener.server->GetHealthCheckService()->SetServingStatus("", false);
  return listener;
}

}  // namespace naru::services
