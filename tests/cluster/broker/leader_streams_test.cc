// What a leader gives to a follower that fetches several partitions over one stream, and in which order.
#include "cluster/broker/leader_streams.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "cluster/broker/replica_host.h"
#include "storage/base/clock.h"
#include "storage/base/event_log.h"
#include "storage/log/memory_log_store.h"
#include "tests/storage/log/record_batches.h"

namespace naru::cluster {
namespace {

using naru::internal::v1::FetchedPartition;
using naru::internal::v1::PartitionFetch;
using naru::internal::v1::ReplicateRequest;
using naru::internal::v1::ReplicateResponse;

constexpr BrokerId kLeader(1);
constexpr BrokerId kFollower(2);
constexpr LeaderEpoch kEpochOfBatches(0);
constexpr LeaderEpoch kEpoch(1);
constexpr int64_t kBatchBytes = 10'000;
// Two large batches fit, or twenty small ones.
constexpr int64_t kFetchBytesMax = 2 * kBatchBytes + kBatchBytes / 10;
constexpr absl::Duration kPatience = absl::Seconds(20);

// Nobody is followed here.
class NoLinks final : public Links {
 public:
  std::unique_ptr<Link<naru::internal::v1::AttendRequest>> Attend(
      const std::string&, LinkEvents<naru::internal::v1::AttendResponse>) override {
    return nullptr;
  }
  std::unique_ptr<Link<ReplicateRequest>> Replicate(const std::string&,
                                                    LinkEvents<ReplicateResponse>) override {
    return nullptr;
  }
  std::unique_ptr<Link<naru::internal::v1::ForwardRequest>> Forward(
      const std::string&, LinkEvents<naru::internal::v1::ForwardResponse>) override {
    return nullptr;
  }
  std::unique_ptr<Link<naru::internal::v1::GroupsRequest>> Groups(
      const std::string&, LinkEvents<naru::internal::v1::GroupsResponse>) override {
    return nullptr;
  }
  void ChangeTopics(const std::string&, const naru::internal::v1::ChangeTopicsRequest&, TopicsDone) override {
  }
};

// The follower's end, which takes one message after the other. Thread-safe.
class FollowerEnd final : public LeaderStreams::Stream {
 public:
  void Send(ReplicateResponse message) override {
    absl::MutexLock lock(&mutex_);
    messages_.push_back(std::move(message));
  }
  int64_t queued_bytes() const override {
    absl::MutexLock lock(&mutex_);
    return messages_.empty() ? 0 : 1;
  }
  void End(absl::Status) override {}

  std::optional<ReplicateResponse> Take() {
    absl::MutexLock lock(&mutex_);
    const auto there = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !messages_.empty(); };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&there), kPatience)) return std::nullopt;
    ReplicateResponse message = std::move(messages_.front());
    messages_.erase(messages_.begin());
    return message;
  }

 private:
  mutable absl::Mutex mutex_;
  std::vector<ReplicateResponse> messages_ ABSL_GUARDED_BY(mutex_);
};

class LeaderStreamsTest : public ::testing::Test {
 protected:
  LeaderStreamsTest() {
    loop_.OnIdle([this] { host_.Flush(); });
    loop_.Start();
  }
  ~LeaderStreamsTest() override {
    loop_.Post([this] { host_.Shutdown(); });
    loop_.Stop();
  }

  // The partition's log, with so many batches in it.
  LogId MakeLog(int batches, int64_t batch_bytes = kBatchBytes) {
    const LogId log(static_cast<uint64_t>(++logs_));
    store_.CreateLogs({log}, [](const absl::Status& status) { ASSERT_TRUE(status.ok()); });
    for (int i = 0; i < batches; ++i) {
      ReplicaAppendRequest request{.log = log};
      request.batches.push_back(testing::ViewOf(
          testing::MakeLargeBatch("x", static_cast<size_t>(batch_bytes)), Offset(i), kEpochOfBatches, 1));
      store_.AppendAsReplica(std::move(request), [](const absl::StatusOr<Appended>& appended) {
        ASSERT_TRUE(appended.ok()) << appended.status();
      });
    }
    return log;
  }

  // This broker leads all of them, and the other follows.
  void Lead() {
    auto topic = std::make_shared<TopicInfo>();
    topic->topic_id = std::string(kTopicIdBytes, 't');
    topic->name = "t";
    ClusterMetadata metadata{.head = 2};
    for (const BrokerId broker : {kLeader, kFollower}) {
      metadata.brokers[broker] = {.epoch = BrokerEpoch(broker.value()), .fenced = false};
    }
    for (int32_t i = 0; i < logs_; ++i) {
      topic->partitions.push_back({.log = LogId(static_cast<uint64_t>(i) + 1)});
      metadata.partitions[{ToTopicId(*topic), i}] = {.replicas = {kLeader, kFollower},
                                                     .leader = kLeader,
                                                     .leader_epoch = kEpoch,
                                                     .epoch = PartitionEpoch(1),
                                                     .isr = {kLeader, kFollower}};
    }
    metadata.topics["t"] = topic;
    loop_.Post([this, metadata] {
      host_.Register(BrokerEpoch(kLeader.value()));
      host_.Assign(metadata, {.complete = true});
    });
  }

  // The follower's stream; its first message says who it is.
  ReplicateRequest Begin() {
    session_ = host_.leader_streams().Open(end_);
    ReplicateRequest request;
    request.set_broker_id(kFollower.value());
    request.set_broker_epoch(kFollower.value());
    return request;
  }
  // The next message to the follower, which has taken all before it.
  std::optional<ReplicateResponse> Exchange(ReplicateRequest request) {
    host_.leader_streams().OnMessage(session_, std::move(request));
    host_.leader_streams().OnDrained(session_);
    return end_->Take();
  }

  static void Ask(LogId log, int64_t offset, ReplicateRequest& request) {
    PartitionFetch& fetch = *request.add_fetches();
    fetch.set_log_id(log.value());
    fetch.set_leader_epoch(kEpoch.value());
    fetch.set_last_fetched_epoch(offset == 0 ? -1 : kEpochOfBatches.value());
    fetch.set_offset(offset);
    fetch.set_durable_end(offset);
  }

  static int64_t BytesOf(const FetchedPartition& partition) {
    int64_t bytes = 0;
    for (const auto& batch : partition.batches()) bytes += static_cast<int64_t>(batch.ByteSizeLong());
    return bytes;
  }

  SystemClock clock_;
  NullEventLog events_;
  MemoryLogStore store_{clock_};
  NoLinks links_;
  LogFronts fronts_;
  EventLoop loop_{clock_};
  // One answer on its way at a time.
  ReplicaHost host_{{.fetch_bytes_max = kFetchBytesMax, .stream_bytes_max = 1, .tick_ms = 60'000},
                    kLeader,
                    store_,
                    links_,
                    fronts_,
                    loop_,
                    events_,
                    {.propose = [](const TopicPartition&, const IsrProposal&) { return false; },
                     .report_damage = [](const TopicPartition&, LeaderEpoch) {}}};
  int32_t logs_ = 0;
  const std::shared_ptr<FollowerEnd> end_ = std::make_shared<FollowerEnd>();
  LeaderStreams::SessionId session_ = 0;
};

// Rule 18.
TEST_F(LeaderStreamsTest, PartitionsHaveTheirTurnsAndEqualSharesInBytes) {
  constexpr int kLarge = 30, kSmall = 300;
  const LogId large = MakeLog(kLarge);
  const LogId small = MakeLog(kSmall, kBatchBytes / 10);
  const LogId one = MakeLog(1);
  Lead();
  ReplicateRequest request = Begin();
  for (const LogId log : {large, small, one}) Ask(log, 0, request);
  std::map<LogId, int64_t> bytes, batches;
  int answers = 0;
  while (batches[large] < kLarge || batches[small] < kSmall) {
    const std::optional<ReplicateResponse> message = Exchange(std::exchange(request, {}));
    ASSERT_TRUE(message.has_value()) << "after " << answers << " answers";
    for (const FetchedPartition& partition : message->partitions()) {
      const LogId log(partition.log_id());
      ASSERT_EQ(partition.kind(), FetchedPartition::KIND_BATCHES) << log.value();
      if (partition.batches().empty()) continue;  // of what is committed now
      ++answers;
      bytes[log] += BytesOf(partition);
      batches[log] += partition.batches_size();
      EXPECT_LE(std::abs(bytes[large] - bytes[small]), 2 * kFetchBytesMax)
          << "after " << answers << " answers";
      if (answers == 3) {
        EXPECT_EQ(batches[one], 1) << "it waits for those with much";
      }
      Ask(log, batches[log], request);
    }
  }
  EXPECT_EQ(batches[one], 1);
  EXPECT_LE(answers, 34) << "two large batches fit into an answer, or twenty small ones";
}

TEST_F(LeaderStreamsTest, ABatchThatIsLargerThanAShareComesAlone) {
  const LogId log = MakeLog(3, 3 * kFetchBytesMax);
  Lead();
  ReplicateRequest request = Begin();
  Ask(log, 0, request);
  for (int64_t batches = 0; batches < 3;) {
    const std::optional<ReplicateResponse> message = Exchange(std::exchange(request, {}));
    ASSERT_TRUE(message.has_value());
    for (const FetchedPartition& partition : message->partitions()) {
      EXPECT_LE(partition.batches_size(), 1);
      batches += partition.batches_size();
      Ask(log, batches, request);
    }
  }
}

}  // namespace
}  // namespace naru::cluster
