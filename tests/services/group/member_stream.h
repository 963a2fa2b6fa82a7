// One Consume stream of a test.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "tests/services/group/group_hub.h"

namespace naru::services {

inline naru::v1::Join JoinGroup(const std::string& group, const std::string& topic) {
  naru::v1::Join join;
  join.set_group(group);
  join.add_topics(topic);
  join.set_idle_interval_ms(100);
  return join;
}

// Reads on the test's thread. Cancelled on destruction, unless it has ended.
class MemberStream {
 public:
  explicit MemberStream(GroupHub& hub) {
    Hub::SetDeadline(context_);
    stream_ = hub.member->Consume(&context_);
  }
  MemberStream(GroupHub& hub, const naru::v1::Join& join) : MemberStream(hub) {
    naru::v1::ConsumeRequest request;
    *request.mutable_join() = join;
    Send(request);
  }
  ~MemberStream() {
    if (!ended_) Break();
  }

  void Send(const naru::v1::ConsumeRequest& request) { stream_->Write(request); }
  void Ack(int64_t delivery_id) {
    naru::v1::ConsumeRequest request;
    request.mutable_ack()->set_delivery_id(delivery_id);
    Send(request);
  }
  void Commit(int64_t commit_id, const std::string& topic, int partition, int64_t offset,
              const std::string& metadata = "") {
    naru::v1::ConsumeRequest request;
    request.mutable_commit()->set_commit_id(commit_id);
    naru::v1::OffsetCommit& commit = *request.mutable_commit()->add_offsets();
    commit.set_topic(topic);
    commit.set_partition(partition);
    commit.set_offset(offset);
    commit.set_metadata(metadata);
    Send(request);
  }
  void HalfClose() { stream_->WritesDone(); }
  // As a client that dies.
  void Break() {
    context_.TryCancel();
    End();
  }

  // The next message that is no Idle; waits for it.
  naru::v1::ConsumeResponse Next() {
    naru::v1::ConsumeResponse response;
    do {
      EXPECT_TRUE(stream_->Read(&response)) << "the stream ended";
    } while (response.has_idle());
    return response;
  }
  naru::v1::Joined NextJoined() {
    const naru::v1::ConsumeResponse response = Next();
    EXPECT_TRUE(response.has_joined()) << response.DebugString();
    return response.joined();
  }
  // Partitions by number, of one topic.
  std::set<int> NextAssigned() {
    const naru::v1::ConsumeResponse response = Next();
    EXPECT_TRUE(response.has_assigned()) << response.DebugString();
    return Numbers(response.assigned().partitions());
  }
  std::set<int> NextRevoking() {
    const naru::v1::ConsumeResponse response = Next();
    EXPECT_TRUE(response.has_revoking()) << response.DebugString();
    return Numbers(response.revoking().partitions());
  }
  naru::v1::GroupDelivery NextDelivery() {
    const naru::v1::ConsumeResponse response = Next();
    EXPECT_TRUE(response.has_delivery()) << response.DebugString();
    return response.delivery();
  }
  // Reads until an Idle: nothing more is there at the moment. What came before is dropped.
  void AwaitIdle() {
    naru::v1::ConsumeResponse response;
    do {
      if (!stream_->Read(&response)) return ADD_FAILURE() << "the stream ended";
    } while (!response.has_idle());
  }
  // Whether nothing but idles comes for a while.
  bool OnlyIdleUntilIdle() {
    naru::v1::ConsumeResponse response;
    for (int i = 0; i < 2; ++i) {
      if (!stream_->Read(&response) || !response.has_idle()) return false;
    }
    return true;
  }
  // Reads to the end and says how the stream ended.
  CallEnd End() {
    naru::v1::ConsumeResponse response;
    while (stream_->Read(&response)) {
    }
    ended_ = true;
    return EndOf(context_, stream_->Finish());
  }

 private:
  template <typename Partitions>
  static std::set<int> Numbers(const Partitions& partitions) {
    std::set<int> numbers;
    for (const auto& partition : partitions) numbers.insert(partition.partition());
    return numbers;
  }

  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<naru::v1::ConsumeRequest, naru::v1::ConsumeResponse>> stream_;
  bool ended_ = false;
};

}  // namespace naru::services
