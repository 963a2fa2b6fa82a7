#include "cluster/etcd/etcd_election.h"

#include <algorithm>
#include <utility>

#include "storage/base/check.h"

namespace naru::cluster {
namespace {

// So that an end, which waits for it, takes less than a second.
constexpr int64_t kRevokeTimeoutMs = 700;

int64_t NsOfMs(int64_t ms) { return ms * 1'000'000; }

}  // namespace

void EtcdElection::Stand(std::string address, Listener listener) {
  if (phase_ == Phase::kEnded) return;
  NARU_CHECK(phase_ == Phase::kIdle);
  address_ = std::move(address);
  listener_ = std::move(listener);
  phase_ = Phase::kStanding;
  Poll();
}

void EtcdElection::Poll() {
  etcdserverpb::RangeRequest request;
  request.set_key(keys_.Election());
  client_.Range(std::move(request), options_.request_timeout_ms,
                [this](const grpc::Status& status, const etcdserverpb::RangeResponse& response) {
                  if (phase_ == Phase::kEnded) return;
                  if (!status.ok()) return PollLater();
                  OnPolled(response);
                });
}

void EtcdElection::PollLater() {
  poll_timer_ = loop_.After(options_.poll_interval_ms, [this] { Poll(); });
}

void EtcdElection::OnPolled(const etcdserverpb::RangeResponse& response) {
  const mvccpb::KeyValue* key = response.kvs().empty() ? nullptr : &response.kvs(0);
  if (phase_ == Phase::kElected) {
    // The lease may last while the key is gone: somebody deleted it.
    if (key == nullptr || key->create_revision() != term_) Depose("the election key is another");
    return PollLater();
  }
  if (key == nullptr) return Campaign();
  // One's own address: of an election that was given up, or whose answer did not come.
  listener_.seen(key->value() == address_ ? std::string() : key->value());
  PollLater();
}

void EtcdElection::Campaign() {
  listener_.seen("");
  const int64_t sent_ns = loop_.NowNs();
  etcdserverpb::LeaseGrantRequest request;
  request.set_ttl(options_.lease_ttl_s);
  client_.Grant(
      request, options_.request_timeout_ms,
      [this, sent_ns](const grpc::Status& status, const etcdserverpb::LeaseGrantResponse& response) {
        if (phase_ == Phase::kEnded) return;
        if (!status.ok()) return PollLater();
        OnGranted(sent_ns, response);
      });
}

void EtcdElection::OnGranted(int64_t sent_ns, const etcdserverpb::LeaseGrantResponse& response) {
  const int64_t ttl_ms = response.ttl() * 1'000;
  lease_ = Lease{response.id(), ttl_ms, sent_ns + NsOfMs(ttl_ms)};
  etcdserverpb::TxnRequest request;
  etcdserverpb::Compare& vacant = *request.add_compare();
  vacant.set_target(etcdserverpb::Compare::CREATE);
  vacant.set_key(keys_.Election());
  vacant.set_create_revision(0);
  etcdserverpb::PutRequest& put = *request.add_success()->mutable_request_put();
  put.set_key(keys_.Election());
  put.set_value(address_);
  put.set_lease(response.id());
  client_.Txn(std::move(request), options_.request_timeout_ms,
              [this](const grpc::Status& status, const etcdserverpb::TxnResponse& response) {
                if (phase_ == Phase::kEnded) return;
                if (status.ok()) {
                  OnTried(response);
                } else {
                  // Should the key be made yet, it goes with the lease.
                  DropLease();
                }
                PollLater();
              });
}

void EtcdElection::OnTried(const etcdserverpb::TxnResponse& response) {
  if (!response.succeeded() || loop_.NowNs() >= lease_->until_ns) return DropLease();
  Elect(response.header().revision());
}

void EtcdElection::Elect(int64_t term) {
  phase_ = Phase::kElected;
  term_ = term;
  keep_alive_timer_ = loop_.After(lease_->ttl_ms / 3, [this] { KeepAlive(); });
  WatchLease();
  events_.Write(Severity::kInfo, "elected",
                {{"term", term}, {"address", address_}, {"lease_ttl_ms", lease_->ttl_ms}});
  listener_.seen(address_);
  listener_.elected(term);
}

void EtcdElection::KeepAlive() {
  const int64_t sent_ns = loop_.NowNs();
  const int64_t lease = lease_->id;
  etcdserverpb::LeaseKeepAliveRequest request;
  request.set_id(lease);
  // A third of the time each, so that others of etcd's members are asked before the lease is over.
  client_.KeepAlive(request, std::min(options_.request_timeout_ms, lease_->ttl_ms / 3),
                    [this, sent_ns, lease](const grpc::Status& status,
                                           const etcdserverpb::LeaseKeepAliveResponse& response) {
                      if (phase_ != Phase::kElected || lease_->id != lease) return;
                      OnKeptAlive(sent_ns, status.ok(), response.ttl());
                    });
}

void EtcdElection::OnKeptAlive(int64_t sent_ns, bool answered, int64_t ttl_s) {
  if (answered && ttl_s <= 0) return Depose("etcd has the lease no more");
  int64_t next_ms = options_.poll_interval_ms;
  if (answered) {
    lease_->until_ns = sent_ns + NsOfMs(lease_->ttl_ms);
    const int64_t since_ms = (loop_.NowNs() - sent_ns) / 1'000'000;
    next_ms = std::max<int64_t>(0, lease_->ttl_ms / 3 - since_ms);
  }
  keep_alive_timer_ = loop_.After(next_ms, [this] { KeepAlive(); });
}

void EtcdElection::WatchLease() {
  const int64_t left_ns = lease_->until_ns - loop_.NowNs();
  if (left_ns <= 0) return Depose("the lease was not kept alive in time");
  lease_timer_ = loop_.After(left_ns / 1'000'000 + 1, [this] { WatchLease(); });
}

void EtcdElection::GiveUp(int64_t term, std::string_view why) {
  if (phase_ == Phase::kElected && term == term_) Depose(why);
}

void EtcdElection::Depose(std::string_view why) {
  phase_ = Phase::kStanding;
  loop_.Cancel(keep_alive_timer_);
  loop_.Cancel(lease_timer_);
  DropLease();
  events_.Write(Severity::kWarning, "deposed", {{"term", term_}, {"why", why}});
  listener_.seen("");
  listener_.deposed(term_);
}

void EtcdElection::DropLease() {
  etcdserverpb::LeaseRevokeRequest request;
  request.set_id(lease_->id);
  lease_.reset();
  // Not answered: it ends by itself.
  client_.Revoke(request, kRevokeTimeoutMs,
                 [](const grpc::Status&, const etcdserverpb::LeaseRevokeResponse&) {});
}

void EtcdElection::End() {
  phase_ = Phase::kEnded;
  loop_.Cancel(poll_timer_);
  loop_.Cancel(keep_alive_timer_);
  loop_.Cancel(lease_timer_);
  if (lease_) DropLease();
}

}  // namespace naru::cluster
