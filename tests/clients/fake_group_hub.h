// The group side of a hub in this process: real gRPC on port 0, one group whose only member gets every
// partition of the topic "t", and a script for what goes wrong. It keeps the contract of
// GroupService.Consume: ids from 1 on each stream, a bound of unacknowledged bytes, commits of acknowledged
// prefixes, a clean end after a half-close.
#pragma once

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "naru/v1/group.grpc.pb.h"
#include "storage/base/status.h"

namespace naru::client::testing {

// Thread-safe. Each delivery has one record.
class FakeGroupHub final : public naru::v1::GroupService::CallbackService {
 public:
  explicit FakeGroupHub(int partitions);
  ~FakeGroupHub() override;

  std::string address() const { return address_; }
  void Append(int partition, const std::string& value);
  // Appends a record with a field that no broker lets in, a group.
  void AppendUnreadable(int partition);

  // Breaks a stream instead of sending these deliveries, counted from 1 over all streams; once for each.
  void BreakAt(std::set<int> delivery_numbers);
  // The next joins end so.
  void RefuseJoins(std::deque<Reason> reasons);
  // Every stream ends so.
  void EndStreams(Reason reason);
  // The partition goes to another member, which there is not.
  void Revoke(int partition);
  // Every stream tells that the partition cannot be read on.
  void Corrupt(int partition);
  // Half-closed streams are not ended, and commits not answered, any more.
  void HoldAnswers();

  // -1: none.
  int64_t committed(int partition);
  std::vector<naru::v1::Join> joins();
  // Sent so far, or broken at.
  int deliveries();
  int acks();
  int progresses();
  // Most bytes of records sent and not acknowledged, of any stream, at the sending of another.
  int64_t unacked_bytes_most();

  grpc::ServerBidiReactor<naru::v1::ConsumeRequest, naru::v1::ConsumeResponse>* Consume(
      grpc::CallbackServerContext* context) override;
  // Five groups, "a" to "e", two on a page.
  grpc::ServerUnaryReactor* ListGroups(grpc::CallbackServerContext* context,
                                       const naru::v1::ListGroupsRequest* request,
                                       naru::v1::ListGroupsResponse* response) override;
  // GROUP_NOT_EMPTY.
  grpc::ServerUnaryReactor* DeleteGroup(grpc::CallbackServerContext* context,
                                        const naru::v1::DeleteGroupRequest* request,
                                        naru::v1::DeleteGroupResponse* response) override;

 private:
  class Session;

  // With every session, outside of the lock.
  void PumpAll() ABSL_LOCKS_EXCLUDED(mutex_);
  // By every session.
  void Tell(const naru::v1::ConsumeResponse& answer) ABSL_LOCKS_EXCLUDED(mutex_);

  absl::Mutex mutex_;
  std::vector<std::vector<naru::v1::Record>> logs_ ABSL_GUARDED_BY(mutex_);
  std::map<int, int64_t> committed_ ABSL_GUARDED_BY(mutex_);
  std::set<int> given_away_ ABSL_GUARDED_BY(mutex_);
  std::set<std::shared_ptr<Session>> sessions_ ABSL_GUARDED_BY(mutex_);
  std::set<int> break_at_ ABSL_GUARDED_BY(mutex_);
  std::deque<Reason> refusals_ ABSL_GUARDED_BY(mutex_);
  bool hold_answers_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<naru::v1::Join> joins_ ABSL_GUARDED_BY(mutex_);
  int deliveries_ ABSL_GUARDED_BY(mutex_) = 0;
  int acks_ ABSL_GUARDED_BY(mutex_) = 0;
  int progresses_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t unacked_bytes_most_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace naru::client::testing
