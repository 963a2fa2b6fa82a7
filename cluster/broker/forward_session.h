// The other end of PeerLogs: what another broker forwards for its clients, done on the logs that this broker
// leads. One for each stream. Thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "cluster/broker/led_logs.h"
#include "naru/internal/v1/peer.pb.h"

namespace naru::cluster {

class ForwardSession : public std::enable_shared_from_this<ForwardSession> {
 public:
  // The way back. Called on any thread; must not block.
  class Stream {
   public:
    virtual ~Stream() = default;
    virtual void Send(naru::internal::v1::ForwardResponse message) = 0;
  };

  // `logs` outlives the session and everything that it began.
  ForwardSession(LedLogs& logs, std::shared_ptr<Stream> stream) : logs_(logs), stream_(std::move(stream)) {}

  // In the order in which they came.
  void OnMessage(naru::internal::v1::ForwardRequest message);
  // Nobody waits any more; watches are cancelled, what was begun goes on.
  void Closed();

 private:
  using Request = naru::internal::v1::ForwardRequest;
  using Response = naru::internal::v1::ForwardResponse;

  void Append(uint64_t id, LogId log, naru::internal::v1::AppendOrder& order);
  void Read(uint64_t id, LogId log, const naru::internal::v1::ReadOrder& order);
  void Watch(uint64_t id, LogId log, Offset offset);
  void OnFired(uint64_t id, LogId log);
  void CancelWatch(uint64_t id);
  void Answer(uint64_t id, const absl::Status& status, Response response = {});
  std::shared_ptr<AppendFence> FindFence(uint64_t id);

  LedLogs& logs_;
  const std::shared_ptr<Stream> stream_;
  absl::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  // By the request's id; 0: it is being set.
  absl::flat_hash_map<uint64_t, LogWatches::WatchId> watches_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<uint64_t, std::shared_ptr<AppendFence>> fences_ ABSL_GUARDED_BY(mutex_);
  std::deque<uint64_t> fence_ages_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace naru::cluster
