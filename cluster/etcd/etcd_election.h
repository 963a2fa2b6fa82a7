// Standing for election in etcd, and staying elected.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "cluster/etcd/etcd_client.h"
#include "cluster/etcd/etcd_keys.h"
#include "cluster/etcd/etcd_options.h"
#include "cluster/loop/event_loop.h"
#include "storage/base/event_log.h"

namespace naru::cluster {

// Whoever made the election key is elected: it hangs on a lease of its maker's, and goes with it. The term is
// the revision that made it. The key is read every poll interval, by the elected one too; where it is not
// there, one asks for a lease and tries to make it. The lease is kept alive every third of its time, and
// taken to last for its time from when the last request that was answered was sent. A lease that was lost or
// given up is revoked and never used again.
//
// For the loop's thread alone. Events: elected, deposed.
class EtcdElection {
 public:
  struct Listener {
    std::function<void(int64_t term)> elected;
    std::function<void(int64_t term)> deposed;
    // Who is elected; empty: nobody, or it is not known.
    std::function<void(const std::string& address)> seen;
  };

  // All outlive the election.
  EtcdElection(const EtcdOptions& options, const EtcdKeys& keys, EtcdClient& client, EventLoop& loop,
               EventLog& events)
      : options_(options), keys_(keys), client_(client), loop_(loop), events_(events) {}

  // Once.
  void Stand(std::string address, Listener listener);
  // Deposes itself from this term, if it is the present one, and stands again.
  void GiveUp(int64_t term, std::string_view why);
  // Gives up what it has; nothing is called from then on. The caller waits for the revocation, which is under
  // way then. Idempotent.
  void End();

 private:
  struct Lease {
    int64_t id = 0;
    int64_t ttl_ms = 0;
    int64_t until_ns = 0;  // steady
  };
  enum class Phase { kIdle, kStanding, kElected, kEnded };

  // At any time while it stands there is one of these under way, or the timer for the next.
  void Poll();
  void PollLater();
  void OnPolled(const etcdserverpb::RangeResponse& response);
  void Campaign();
  void OnGranted(int64_t sent_ns, const etcdserverpb::LeaseGrantResponse& response);
  void OnTried(const etcdserverpb::TxnResponse& response);
  void Elect(int64_t term);

  void KeepAlive();
  void OnKeptAlive(int64_t sent_ns, bool answered, int64_t ttl_s);
  // Deposes itself when the lease is over and was not kept alive until then.
  void WatchLease();
  void Depose(std::string_view why);
  void DropLease();

  const EtcdOptions& options_;
  const EtcdKeys& keys_;
  EtcdClient& client_;
  EventLoop& loop_;
  EventLog& events_;

  std::string address_;
  Listener listener_;
  Phase phase_ = Phase::kIdle;
  int64_t term_ = 0;  // when elected
  std::optional<Lease> lease_;
  EventLoop::TimerId poll_timer_;
  EventLoop::TimerId keep_alive_timer_;
  EventLoop::TimerId lease_timer_;
};

}  // namespace naru::cluster
