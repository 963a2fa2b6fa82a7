// The logs that other brokers lead, as calls see them: forwarded to the leader, one stream to each broker.
// Requests for one log take effect in the order of the calls, as long as the stream holds.
//
// Thread-safe. Completions run on the stream's thread, or inline.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "cluster/broker/link.h"
#include "storage/base/clock.h"
#include "storage/log/log_store.h"

namespace naru::cluster {

class PeerLogs {
 public:
  PeerLogs(Links& links, const Clock& clock) : links_(links), clock_(clock) {}
  // As Shutdown().
  ~PeerLogs();

  // Where a broker is from now on.
  void SetAddress(BrokerId broker, const std::string& address);

  // As LogStore's. When the stream breaks meanwhile: LEADER_CHANGED for what may have been done, NO_LEADER
  // for what changes nothing, and watches fire.
  void Append(BrokerId leader, AppendRequest request, LogStore::AppendDone done);
  void Read(BrokerId leader, const ReadRequest& request, LogStore::ReadDone done);
  void FindByTime(BrokerId leader, LogId log, int64_t timestamp_ms, LogStore::TimeDone done);
  void AskInfo(BrokerId leader, LogId log, LogStore::InfoDone done);
  void MoveLogStart(BrokerId leader, LogId log, Offset start, LogStore::Done done);
  // `fire` is called once; or never, when it is cancelled before.
  uint64_t Watch(BrokerId leader, LogId log, Offset offset, absl::AnyInvocable<void()> fire);
  // As LogStore::CancelWatch, but it does not wait for one that is just firing.
  bool CancelWatch(uint64_t watch);

  // Completes everything that waits as when the streams break, and later calls with SHUTTING_DOWN.
  void Shutdown();

 private:
  using Response = naru::internal::v1::ForwardResponse;
  using Request = naru::internal::v1::ForwardRequest;
  // Called once: with an answer, or why there is none.
  using Answered = absl::AnyInvocable<void(absl::StatusOr<Response>)>;

  struct Peer {
    std::string address;
    std::unique_ptr<Link<Request>> link;
    uint64_t number = 0;         // of the link
    int64_t broken_ms = -1'000;  // when it broke last
    std::map<uint64_t, Answered> waiting;
  };
  struct Fence {
    uint64_t id = 0;
    std::weak_ptr<AppendFence> fence;
  };

  // The id it was sent under. Completed inline when there is no way.
  uint64_t Send(BrokerId leader, Request request, Answered answered);
  bool Connect(BrokerId leader, Peer& peer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnMessage(BrokerId leader, uint64_t number, Response message);
  void OnBroken(BrokerId leader, uint64_t number);
  uint64_t FenceId(const std::shared_ptr<AppendFence>& fence) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Links& links_;
  const Clock& clock_;
  mutable absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t last_link_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<BrokerId, Peer> peers_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<const AppendFence*, Fence> fences_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_fence_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<uint64_t, BrokerId> watches_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace naru::cluster
