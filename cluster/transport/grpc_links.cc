#include "cluster/transport/grpc_links.h"

#include <chrono>
#include <utility>

#include "cluster/transport/grpc_status.h"
#include "cluster/transport/message_stream.h"
#include "naru/internal/v1/coordinator.grpc.pb.h"
#include "naru/internal/v1/peer.grpc.pb.h"

namespace naru::cluster {

namespace v1 = naru::internal::v1;

namespace {

// A peer that is silent for so long is gone: the connection breaks.
constexpr int kKeepaliveMs = 1'000;
constexpr int kKeepaliveTimeoutMs = 1'000;
constexpr int kReconnectMsMin = 100;
constexpr int kReconnectMsMax = 500;
constexpr auto kTopicsDeadline = std::chrono::seconds(10);

template <typename Out, typename In, typename Call>
std::unique_ptr<Link<Out>> Open(LinkEvents<In> events, const std::shared_ptr<OpenCalls>& calls,
                                const Call& call) {
  auto stream = std::make_shared<ClientStream<Out, In>>(std::move(events), calls);
  call(stream->context(), *stream);
  stream->Begin();
  return std::make_unique<ClientLink<Out, In>>(std::move(stream));
}

}  // namespace

GrpcLinks::GrpcLinks() : calls_(std::make_shared<OpenCalls>()) {}

GrpcLinks::~GrpcLinks() { calls_->WaitForNone(); }

std::shared_ptr<grpc::Channel> GrpcLinks::ChannelTo(const std::string& address) {
  absl::MutexLock lock(&mutex_);
  std::shared_ptr<grpc::Channel>& channel = channels_[address];
  if (channel != nullptr) return channel;
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectMsMin);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kReconnectMsMax);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMsMax);
  // A channel of its own, with a connection of its own.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  channel = grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
  return channel;
}

std::unique_ptr<Link<v1::AttendRequest>> GrpcLinks::Attend(const std::string& address,
                                                           LinkEvents<v1::AttendResponse> events) {
  return Open<v1::AttendRequest>(std::move(events), calls_, [&](grpc::ClientContext& context, auto& reactor) {
    v1::CoordinatorService::NewStub(ChannelTo(address))->async()->Attend(&context, &reactor);
  });
}

std::unique_ptr<Link<v1::ReplicateRequest>> GrpcLinks::Replicate(const std::string& address,
                                                                 LinkEvents<v1::ReplicateResponse> events) {
  return Open<v1::ReplicateRequest>(
      std::move(events), calls_, [&](grpc::ClientContext& context, auto& reactor) {
        v1::PeerService::NewStub(ChannelTo(address))->async()->Replicate(&context, &reactor);
      });
}

std::unique_ptr<Link<v1::ForwardRequest>> GrpcLinks::Forward(const std::string& address,
                                                             LinkEvents<v1::ForwardResponse> events) {
  return Open<v1::ForwardRequest>(
      std::move(events), calls_, [&](grpc::ClientContext& context, auto& reactor) {
        v1::PeerService::NewStub(ChannelTo(address))->async()->Forward(&context, &reactor);
      });
}

std::unique_ptr<Link<v1::GroupsRequest>> GrpcLinks::Groups(const std::string& address,
                                                           LinkEvents<v1::GroupsResponse> events) {
  return Open<v1::GroupsRequest>(std::move(events), calls_, [&](grpc::ClientContext& context, auto& reactor) {
    v1::PeerService::NewStub(ChannelTo(address))->async()->Groups(&context, &reactor);
  });
}

void GrpcLinks::ChangeTopics(const std::string& address, const v1::ChangeTopicsRequest& request,
                             TopicsDone done) {
  struct Call {
    grpc::ClientContext context;
    v1::ChangeTopicsRequest request;
    v1::ChangeTopicsResponse response;
    TopicsDone done;
  };
  calls_->Begin();
  auto call = std::make_shared<Call>();
  call->request = request;
  call->done = std::move(done);
  call->context.set_deadline(std::chrono::system_clock::now() + kTopicsDeadline);
  v1::CoordinatorService::NewStub(ChannelTo(address))
      ->async()
      ->ChangeTopics(&call->context, &call->request, &call->response,
                     [call, calls = calls_](const grpc::Status& status) mutable {
                       if (status.ok()) {
                         call->done(std::move(call->response));
                       } else {
                         call->done(FromGrpcStatus(status));
                       }
                       call.reset();
                       calls->End();
                     });
}

}  // namespace naru::cluster
