// A member of a group that acknowledges whatever it gets at once, and tells a shared watch what it saw.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "naru/v1/group.grpc.pb.h"

namespace naru::bench {

// What the members of one group saw of one topic. Thread-safe.
class GroupWatch {
 public:
  explicit GroupWatch(int partitions) : partitions_(static_cast<size_t>(partitions)) {}

  void OnAssigned(int partition);
  // It was given back, or its member is gone.
  void OnLost(int partition);
  void OnDelivery(int partition, int64_t records);
  // A member's stream ended with this, which is no OK.
  void OnFailed(const grpc::Status& status);

  int owned() const { return owned_.load(); }
  int64_t records() const { return records_.load(); }
  // How the first stream that failed ended; OK: none did.
  grpc::Status failure() const;
  // From here on, gaps and moves are counted anew.
  void Reset();
  // The longest time between two deliveries of a partition that did not move meanwhile, since Reset, in
  // nanoseconds; the time since the last one counts too.
  int64_t LongestGapNs() const;
  int Moved() const;

 private:
  struct Partition {
    std::atomic<int64_t> last_ns{0};
    std::atomic<int64_t> gap_ns{0};
    std::atomic<int> moves{0};
  };
  std::vector<Partition> partitions_;
  std::atomic<int> owned_{0};
  std::atomic<int64_t> records_{0};
  mutable absl::Mutex mutex_;
  grpc::Status failure_ ABSL_GUARDED_BY(mutex_);
};

// Lives until its stream has ended. Thread-safe.
class GroupMember final
    : public grpc::ClientBidiReactor<naru::v1::ConsumeRequest, naru::v1::ConsumeResponse> {
 public:
  // `watch` outlives the member.
  GroupMember(naru::v1::GroupService::Stub& stub, const naru::v1::Join& join, GroupWatch& watch);
  ~GroupMember() override;

  bool joined() const { return joined_.load(); }
  int owned() const { return owned_count_.load(); }
  // Half-closes; its stream ends soon.
  void Leave();
  // Waits for the end of the stream.
  grpc::Status Await();

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  void Send(naru::v1::ConsumeRequest request);
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Lose(int partition);

  GroupWatch& watch_;
  grpc::ClientContext context_;
  naru::v1::ConsumeResponse response_;
  std::vector<bool> owned_;  // of OnReadDone
  std::atomic<bool> joined_{false};
  std::atomic<int> owned_count_{0};

  absl::Mutex mutex_;
  std::deque<naru::v1::ConsumeRequest> requests_ ABSL_GUARDED_BY(mutex_);
  naru::v1::ConsumeRequest writing_;
  bool write_out_ ABSL_GUARDED_BY(mutex_) = false;
  bool leaving_ ABSL_GUARDED_BY(mutex_) = false;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace naru::bench
