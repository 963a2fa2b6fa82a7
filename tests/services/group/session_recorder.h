// A GroupSession without gRPC, a coordinator or a store: a recorder of its effects, and what answers them.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "services/group/group_session.h"
#include "services/group/offset_commits.h"
#include "storage/base/clock.h"
#include "storage/base/status.h"
#include "tests/storage/batch/batch_bytes.h"

namespace naru::services {

// Notes the effects; a test answers them when it likes.
class SessionRecorder final : public GroupSession::Effects {
 public:
  using Lane = GroupSession::Lane;
  struct ReadAsked {
    Lane lane;
    ReadRequest request;
  };
  struct CommitAsked {
    GroupSession::CommitNumber number;
    cluster::CommitOffsets commit;
  };
  struct Ends {
    Offset log_start{0};
    Offset readable_end{100};
  };

  std::shared_ptr<const cluster::TopicCatalog> Catalog() override { return catalog; }
  bool SetAside(int64_t bytes) override {
    EXPECT_GT(bytes, 0);
    ++set_aside;
    return memory_ok;
  }
  void Join(const std::string& group, const cluster::JoinGroup& join) override {
    Note("join " + group);
    joins.push_back(join);
  }
  void Commit(GroupSession::CommitNumber number, cluster::CommitOffsets commit) override {
    Note("commit");
    commits.push_back({number, std::move(commit)});
  }
  void Release(const std::set<cluster::GroupPartition>& partitions) override {
    EXPECT_FALSE(partitions.empty());
    for (const cluster::GroupPartition& partition : partitions) {
      Note("release " + std::to_string(partition.partition));
    }
  }
  void Leave() override { Note("leave"); }
  void Tell(const naru::v1::ConsumeResponse& response) override { Write(response); }
  void Deliver(OutgoingMessage message) override {
    const std::string bytes = message.head + message.records + std::string(message.batches);
    naru::v1::ConsumeResponse response;
    EXPECT_TRUE(response.ParseFromString(bytes));
    EXPECT_TRUE(response.has_delivery());
    Write(response);
  }
  void CutOff() override { Note("cut off"); }
  void Finish(const absl::Status& status) override {
    Note("finish");
    EXPECT_FALSE(writing) << "a write is out";
    finished = status;
  }

  absl::StatusOr<LogInfo> Info(LogId log) override {
    if (!info_error.ok()) return info_error;
    const Ends ends = EndsOf(log);
    LogInfo info;
    info.log_start = ends.log_start;
    info.readable_end = info.end = info.durable_end = ends.readable_end;
    return info;
  }
  int64_t MessageBytesMax() override { return INT64_MAX; }
  void FindEdge(Lane lane, LogId log, bool end) override { edges.push_back({lane, end}); }
  void FindByTime(Lane lane, LogId log, int64_t timestamp_ms) override {
    ADD_FAILURE() << "no start by time";
  }
  void Read(Lane lane, const ReadRequest& request, int64_t memory_bytes, MemoryGate::Line line) override {
    EXPECT_FALSE(reading) << "one read at a time";
    reading = true;
    reads.push_back({lane, request});
  }
  void Watch(Lane lane, LogId log, Offset offset) override { watches[lane] = offset; }
  void WatchLater(Lane lane) override { later.insert(lane); }
  void Unwatch(Lane lane) override {
    watches.erase(lane);
    later.erase(lane);
  }

  Ends EndsOf(LogId log) const {
    const auto it = ends.find(log);
    return it == ends.end() ? Ends{} : it->second;
  }

  bool memory_ok = true;
  absl::Status info_error;
  std::shared_ptr<const cluster::TopicCatalog> catalog;
  std::map<LogId, Ends> ends;

  // What happened but for writes and reads, in words and in order.
  std::vector<std::string> effects;
  int set_aside = 0;
  std::vector<cluster::JoinGroup> joins;
  std::vector<CommitAsked> commits;
  std::vector<naru::v1::ConsumeResponse> written;
  bool writing = false;
  std::vector<ReadAsked> reads;
  bool reading = false;
  std::map<Lane, Offset> watches;
  std::set<Lane> later;                      // to be tried again in a moment
  std::vector<std::pair<Lane, bool>> edges;  // asked for: the end, or the start
  std::optional<absl::Status> finished;

 private:
  void Note(std::string effect) {
    EXPECT_FALSE(finished) << effect << " after the end";
    effects.push_back(std::move(effect));
  }
  void Write(const naru::v1::ConsumeResponse& response) {
    EXPECT_FALSE(finished) << "a write after the end";
    EXPECT_FALSE(writing) << "one write at a time";
    writing = true;
    written.push_back(response);
  }
};

// A session of member "m" of group "g", of a topic "t" with some partitions.
class GroupSessionTest : public ::testing::Test {
 protected:
  using Assignment = std::map<cluster::GroupPartition, std::optional<cluster::CommittedOffset>>;

  GroupSessionTest() {
    SetPartitions(4);
    plan_.group = "g";
    plan_.join.member_id = "m";
    plan_.join.attempt.requester = 5;
    plan_.join.session_timeout_ms = 10'000;
    plan_.message_bytes_max = 1 << 20;
    plan_.unacked_bytes_max = 8 << 20;
    plan_.progress_timeout = std::chrono::milliseconds(300'000);
    plan_.idle_interval = std::chrono::milliseconds(5'000);
  }

  void SetPartitions(int count) {
    auto topic = std::make_shared<cluster::TopicInfo>();
    topic->name = "t";
    topic->topic_id = kTopicId;
    for (int i = 0; i < count; ++i) topic->partitions.push_back({.log = Log(i)});
    auto catalog = std::make_shared<cluster::TopicCatalog>();
    catalog->topics["t"] = topic;
    effects_.catalog = catalog;
  }
  static LogId Log(int partition) { return LogId(static_cast<uint64_t>(partition) + 1); }
  static cluster::GroupPartition Partition(int partition) { return {ToTopicId(kTopicId), partition}; }
  static std::set<cluster::GroupPartition> Partitions(const std::vector<int>& numbers) {
    std::set<cluster::GroupPartition> partitions;
    for (const int number : numbers) partitions.insert(Partition(number));
    return partitions;
  }

  // Joins, and takes the answer.
  void Join() {
    session_.Join(plan_);
    session_.OnJoined("m", 7);
    TakeAll();
  }
  // `committed` of each, or -1.
  void Assign(const std::map<int, int64_t>& committed) {
    Assignment assignment;
    for (const auto& [partition, offset] : committed) {
      auto& position = assignment[Partition(partition)];
      if (offset >= 0) position = cluster::CommittedOffset{.offset = offset, .metadata = "mine"};
    }
    session_.OnAssigned(assignment);
  }
  // Joins with these partitions, and takes what it is told.
  void JoinWith(const std::map<int, int64_t>& committed) {
    Join();
    Assign(committed);
    TakeAll();
  }
  void Revoke(const std::vector<int>& partitions) { session_.OnRevoking(Partitions(partitions)); }

  // The client takes what is being written, and what follows.
  void Take() {
    effects_.writing = false;
    session_.OnWritten(true);
  }
  void TakeAll() {
    while (effects_.writing) Take();
  }

  // Answers the read that is out with `count` records of about `bytes` each.
  void AnswerRead(int count, size_t bytes = 1) {
    ASSERT_TRUE(effects_.reading);
    const SessionRecorder::ReadAsked asked = effects_.reads.back();
    const SessionRecorder::Ends ends = effects_.EndsOf(asked.request.log);
    ReadResult result{.log_start = ends.log_start, .readable_end = ends.readable_end};
    if (count > 0) {
      StoredBatchView batch;
      batch.base_offset = asked.request.from;
      batch.next_offset = asked.request.from + count;
      batch.record_count = count;
      batch.append_time_ms = 7;
      batch.bytes = absl::Cord(batch_bytes::Batch(std::vector<std::string>(
          static_cast<size_t>(count), batch_bytes::Keyless(std::string(bytes, 'v')))));
      result.batches.push_back(batch);
    }
    effects_.reading = false;
    session_.OnRead(asked.lane, std::move(result), {});
  }
  void FailRead(const absl::Status& status) {
    ASSERT_TRUE(effects_.reading);
    effects_.reading = false;
    session_.OnRead(effects_.reads.back().lane, status, {});
  }
  // One delivery of `count` records, taken by the client; its id.
  int64_t Deliver(int count, size_t bytes = 1) {
    AnswerRead(count, bytes);
    TakeAll();
    EXPECT_TRUE(last().has_delivery()) << last().DebugString();
    return last().delivery().delivery_id();
  }
  void Commit(int64_t commit_id, int partition, int64_t offset) {
    naru::v1::Commit commit;
    commit.set_commit_id(commit_id);
    naru::v1::OffsetCommit& position = *commit.add_offsets();
    position.set_topic("t");
    position.set_partition(partition);
    position.set_offset(offset);
    session_.Commit(commit);
  }
  // The newest commit that was asked for is durable, or failed.
  void Committed(const absl::Status& status = absl::OkStatus()) {
    ASSERT_FALSE(effects_.commits.empty());
    session_.OnCommitted(effects_.commits.back().number, status);
  }

  const naru::v1::ConsumeResponse& last() const { return effects_.written.back(); }
  // Of the newest commit: offset by partition.
  std::map<int, int64_t> LastCommit() const {
    std::map<int, int64_t> offsets;
    if (effects_.commits.empty()) return offsets;
    for (const auto& [partition, committed] : effects_.commits.back().commit.offsets) {
      offsets[partition.partition] = committed.offset;
    }
    return offsets;
  }
  // What was written from `from` on, in words.
  std::vector<std::string> Written(size_t from = 0) const {
    std::vector<std::string> words;
    for (size_t i = from; i < effects_.written.size(); ++i) {
      const naru::v1::ConsumeResponse& response = effects_.written[i];
      std::string word = std::to_string(response.response_case());
      switch (response.response_case()) {
        case naru::v1::ConsumeResponse::kJoined:
          word = "joined";
          break;
        case naru::v1::ConsumeResponse::kAssigned:
          word = "assigned";
          for (const auto& each : response.assigned().partitions()) {
            word += " " + std::to_string(each.partition());
          }
          break;
        case naru::v1::ConsumeResponse::kRevoking:
          word = "revoking";
          for (const auto& each : response.revoking().partitions()) {
            word += " " + std::to_string(each.partition());
          }
          break;
        case naru::v1::ConsumeResponse::kIdle:
          word = "idle";
          break;
        case naru::v1::ConsumeResponse::kCommitResult:
          word = "result " + std::to_string(response.commit_result().commit_id());
          break;
        case naru::v1::ConsumeResponse::kFailure:
          word = "failure " + std::to_string(response.failure().partition());
          break;
        case naru::v1::ConsumeResponse::kDelivery:
          word = "delivery " + std::to_string(response.delivery().partition());
          break;
        default:
          break;
      }
      words.push_back(word);
    }
    return words;
  }
  size_t writes() const { return effects_.written.size(); }
  absl::Status Failure() const { return effects_.finished.value_or(absl::OkStatus()); }

  static constexpr char kTopicId[] = "0123456789abcdef";
  ConsumeOptions options_;
  ManualClock clock_;
  SessionRecorder effects_;
  JoinPlan plan_;
  GroupSession session_{options_, clock_, effects_};
};

}  // namespace naru::services
