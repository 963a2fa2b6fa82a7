// Calls to etcd, through one of its members at a time.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "cluster/etcd/etcd_options.h"
#include "cluster/loop/event_loop.h"
#include "etcd/rpc.grpc.pb.h"
#include "storage/base/event_log.h"

namespace naru::cluster {

// Owns the channels and what is under way. Everything is for the loop's thread alone, the answers come on it:
// one for each call, also when it was cancelled.
//
// A call is made once. Neither this class nor gRPC repeats it: whether a transaction that was not answered
// was carried out is for its caller to find out. When a member did not answer (UNAVAILABLE,
// DEADLINE_EXCEEDED), later calls go to the next one.
//
// Events: etcd_unreachable for the first of calls that are not answered, etcd_reachable when one is again;
// etcd_refused for an answer that is an error, once for several in a row of the same.
class EtcdClient {
 public:
  template <typename Response>
  using Done = absl::AnyInvocable<void(const grpc::Status& status, const Response& response)>;

  // `events` outlives the client. Does not connect yet.
  EtcdClient(const EtcdOptions& options, std::shared_ptr<EventLoop> loop, EventLog& events);
  // When nothing is under way, or the loop was never started.
  ~EtcdClient();

  void Range(etcdserverpb::RangeRequest request, int64_t timeout_ms, Done<etcdserverpb::RangeResponse> done);
  void Txn(etcdserverpb::TxnRequest request, int64_t timeout_ms, Done<etcdserverpb::TxnResponse> done);
  void Grant(etcdserverpb::LeaseGrantRequest request, int64_t timeout_ms,
             Done<etcdserverpb::LeaseGrantResponse> done);
  void KeepAlive(etcdserverpb::LeaseKeepAliveRequest request, int64_t timeout_ms,
                 Done<etcdserverpb::LeaseKeepAliveResponse> done);
  void Revoke(etcdserverpb::LeaseRevokeRequest request, int64_t timeout_ms,
              Done<etcdserverpb::LeaseRevokeResponse> done);

  // All but revocations, which are to come through also when everything else ends.
  void CancelAll();
  // Calls back when nothing is under way, perhaps at once. Once.
  void WhenIdle(EventLoop::Task idle);

  // Any thread.
  int64_t failures() const { return failures_; }
  bool reachable() const { return reachable_; }

 private:
  struct Endpoint {
    std::string address;
    std::unique_ptr<etcdserverpb::KV::Stub> kv;
    std::unique_ptr<etcdserverpb::Lease::Stub> lease;
  };
  struct Running {
    grpc::ClientContext* context = nullptr;
    size_t endpoint = 0;
    bool kept = false;  // by CancelAll
  };
  template <typename Request, typename Response>
  struct Call;
  class KeepAliveCall;

  // A call to the current endpoint that is about to be sent.
  template <typename Request, typename Response>
  std::shared_ptr<Call<Request, Response>> Begin(Request request, int64_t timeout_ms, Done<Response> done);
  // What became of a call; before its caller is told.
  void End(uint64_t id, const grpc::Status& status);
  void OnRefused(size_t endpoint, const grpc::Status& status);
  void TellIfIdle();
  void OnUnanswered(size_t endpoint, const grpc::Status& status);

  const std::shared_ptr<EventLoop> loop_;
  EventLog& events_;
  std::vector<Endpoint> endpoints_;
  size_t current_ = 0;
  std::map<uint64_t, Running> running_;
  uint64_t next_id_ = 1;
  EventLoop::Task idle_;
  std::string last_refusal_;
  std::atomic<int64_t> failures_ = 0;
  std::atomic<bool> reachable_ = true;
};

}  // namespace naru::cluster
