#include "cluster/etcd/etcd_client.h"

#include <chrono>
#include <functional>
#include <utility>

#include "storage/base/check.h"

namespace naru::cluster {
namespace {

// Of 200 of the largest keys (EtcdOptions::page_keys_max), which are below etcd's limit of 1.5 MiB.
constexpr int kReceivedBytesMax = 200 * (1 << 20) * 3 / 2;

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(kReceivedBytesMax);
  // etcd ends connections that are probed more often than every 5 s. A member that fell silent is left by the
  // calls' timeouts, long before.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 2'000);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1'000);  // until an attempt is given up
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

bool Unanswered(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::UNAVAILABLE ||
         status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
}

}  // namespace

// What has to stay while gRPC is at it. Its end is on the loop's thread: the context holds on to the channel,
// and gRPC 1.51 does not bear that the last of its channels is destroyed on a thread of its own. So whoever
// has a call there passes it on and keeps nothing.
template <typename Request, typename Response>
struct EtcdClient::Call {
  EtcdClient& client;
  const std::shared_ptr<EventLoop> loop;
  const uint64_t id;
  Done<Response> done;
  Request request;
  Response response;
  grpc::ClientContext context;

  // On one of gRPC's threads.
  static void Ended(std::shared_ptr<Call> call, grpc::Status status) {
    // The task may be the last that the loop runs, and its owner may be gone before Post returns.
    const std::shared_ptr<EventLoop> loop = call->loop;
    loop->Post([call = std::move(call), status = std::move(status)] {
      call->client.End(call->id, status);
      call->done(status, call->response);
      call->client.TellIfIdle();
    });
  }
  // What gRPC is to call; once.
  static std::function<void(grpc::Status)> EndOf(std::shared_ptr<Call> call) {
    return
        [call = std::move(call)](grpc::Status status) mutable { Ended(std::move(call), std::move(status)); };
  }
};

// One request and one answer on a stream of its own: it needs no stream to be watched over, and the next goes
// to another member if this one does not answer. Deletes itself.
class EtcdClient::KeepAliveCall final : public grpc::ClientBidiReactor<etcdserverpb::LeaseKeepAliveRequest,
                                                                       etcdserverpb::LeaseKeepAliveResponse> {
 public:
  using Kept = Call<etcdserverpb::LeaseKeepAliveRequest, etcdserverpb::LeaseKeepAliveResponse>;

  KeepAliveCall(etcdserverpb::Lease::Stub& stub, std::shared_ptr<Kept> call) : call_(std::move(call)) {
    stub.async()->LeaseKeepAlive(&call_->context, this);
    StartWriteLast(&call_->request, {});
    StartRead(&call_->response);
    StartCall();
  }

  void OnReadDone(bool ok) override { answered_ = ok; }
  void OnDone(const grpc::Status& status) override {
    std::shared_ptr<Kept> call = std::move(call_);
    grpc::Status outcome = answered_ ? grpc::Status::OK : Failure(status);
    delete this;
    Kept::Ended(std::move(call), std::move(outcome));
  }

 private:
  static grpc::Status Failure(const grpc::Status& status) {
    return status.ok() ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "the stream ended without an answer")
                       : status;
  }

  std::shared_ptr<Kept> call_;
  bool answered_ = false;
};

EtcdClient::EtcdClient(const EtcdOptions& options, std::shared_ptr<EventLoop> loop, EventLog& events)
    : loop_(std::move(loop)), events_(events) {
  for (const std::string& address : options.endpoints) {
    const std::shared_ptr<grpc::Channel> channel = MakeChannel(address);
    endpoints_.push_back(
        {address, etcdserverpb::KV::NewStub(channel), etcdserverpb::Lease::NewStub(channel)});
  }
}

EtcdClient::~EtcdClient() { NARU_CHECK(running_.empty()); }

template <typename Request, typename Response>
std::shared_ptr<EtcdClient::Call<Request, Response>> EtcdClient::Begin(Request request, int64_t timeout_ms,
                                                                       Done<Response> done) {
  std::shared_ptr<Call<Request, Response>> call(
      new Call<Request, Response>{*this, loop_, next_id_++, std::move(done), std::move(request), {}, {}});
  call->context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(timeout_ms));
  // A member that has no leader says so at once, instead of waiting for one.
  call->context.AddMetadata("hasleader", "true");
  // The context lives until the call has ended, which takes this entry away.
  running_[call->id] = {&call->context, current_};
  return call;
}

void EtcdClient::Range(etcdserverpb::RangeRequest request, int64_t timeout_ms,
                       Done<etcdserverpb::RangeResponse> done) {
  auto call = Begin(std::move(request), timeout_ms, std::move(done));
  endpoints_[current_].kv->async()->Range(&call->context, &call->request, &call->response, call->EndOf(call));
}

void EtcdClient::Txn(etcdserverpb::TxnRequest request, int64_t timeout_ms,
                     Done<etcdserverpb::TxnResponse> done) {
  auto call = Begin(std::move(request), timeout_ms, std::move(done));
  endpoints_[current_].kv->async()->Txn(&call->context, &call->request, &call->response, call->EndOf(call));
}

void EtcdClient::Grant(etcdserverpb::LeaseGrantRequest request, int64_t timeout_ms,
                       Done<etcdserverpb::LeaseGrantResponse> done) {
  auto call = Begin(std::move(request), timeout_ms, std::move(done));
  endpoints_[current_].lease->async()->LeaseGrant(&call->context, &call->request, &call->response,
                                                  call->EndOf(call));
}

void EtcdClient::Revoke(etcdserverpb::LeaseRevokeRequest request, int64_t timeout_ms,
                        Done<etcdserverpb::LeaseRevokeResponse> done) {
  auto call = Begin(std::move(request), timeout_ms, std::move(done));
  running_[call->id].kept = true;
  endpoints_[current_].lease->async()->LeaseRevoke(&call->context, &call->request, &call->response,
                                                   call->EndOf(call));
}

void EtcdClient::KeepAlive(etcdserverpb::LeaseKeepAliveRequest request, int64_t timeout_ms,
                           Done<etcdserverpb::LeaseKeepAliveResponse> done) {
  new KeepAliveCall(*endpoints_[current_].lease, Begin(std::move(request), timeout_ms, std::move(done)));
}

void EtcdClient::CancelAll() {
  for (const auto& [id, running] : running_) {
    if (!running.kept) running.context->TryCancel();
  }
}

void EtcdClient::WhenIdle(EventLoop::Task idle) {
  if (running_.empty()) return idle();
  idle_ = std::move(idle);
}

void EtcdClient::TellIfIdle() {
  if (running_.empty() && idle_) std::exchange(idle_, nullptr)();
}

void EtcdClient::End(uint64_t id, const grpc::Status& status) {
  const auto call = running_.find(id);
  const size_t endpoint = call->second.endpoint;
  running_.erase(call);
  // A call that ends by itself says nothing about etcd.
  if (status.error_code() == grpc::StatusCode::CANCELLED) return;
  if (!status.ok()) ++failures_;
  if (Unanswered(status)) return OnUnanswered(endpoint, status);
  if (!reachable_.exchange(true)) {
    events_.Write(Severity::kInfo, "etcd_reachable", {{"endpoint", endpoints_[endpoint].address}});
  }
  if (!status.ok()) OnRefused(endpoint, status);
}

void EtcdClient::OnRefused(size_t endpoint, const grpc::Status& status) {
  // A lease that is revoked may be over already.
  if (status.error_code() == grpc::StatusCode::NOT_FOUND) return;
  if (std::exchange(last_refusal_, status.error_message()) == status.error_message()) return;
  events_.Write(Severity::kError, "etcd_refused",
                {{"endpoint", endpoints_[endpoint].address}, {"error", status.error_message()}});
}

void EtcdClient::OnUnanswered(size_t endpoint, const grpc::Status& status) {
  // Others that were under way to the same member say no more than the first.
  if (endpoint == current_) current_ = (current_ + 1) % endpoints_.size();
  if (!reachable_.exchange(false)) return;
  events_.Write(Severity::kWarning, "etcd_unreachable",
                {{"endpoint", endpoints_[endpoint].address}, {"error", status.error_message()}});
}

}  // namespace naru::cluster
