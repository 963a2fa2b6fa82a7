// A Subscribe session without gRPC or a store: what it asks for is noted, and answered when a test likes.
#pragma once

#include <deque>
#include <map>
#include <set>

#include "gtest/gtest.h"
#include "services/consume/subscribe_session.h"
#include "storage/base/status.h"
#include "tests/storage/batch/batch_bytes.h"

namespace naru::services {

// Notes the effects; a test answers them when it likes.
class SubscribeEffectsRecorder final : public SubscribeSession::Effects {
 public:
  struct ReadAsked {
    SubscribeSession::Lane lane;
    ReadRequest request;
    int64_t memory_bytes;
    MemoryGate::Line line;
  };
  absl::StatusOr<LogInfo> Info(LogId log) override {
    LogInfo info;
    info.log_start = Offset(3);
    info.readable_end = info.end = info.durable_end = Offset(10);
    return info;
  }
  std::shared_ptr<const cluster::TopicCatalog> Catalog() override { return catalog; }
  int64_t MessageBytesMax() override { return message_bytes_max; }
  bool SetAside(int64_t bytes) override { return memory_ok; }
  void FindEdge(SubscribeSession::Lane lane, LogId log, bool end) override { edges.push_back({lane, end}); }
  void FindByTime(SubscribeSession::Lane lane, LogId log, int64_t timestamp_ms) override {
    finds.push_back(timestamp_ms);
  }
  void Read(SubscribeSession::Lane lane, const ReadRequest& request, int64_t memory_bytes,
            MemoryGate::Line line) override {
    reads.push_back({lane, request, memory_bytes, line});
  }
  void Watch(SubscribeSession::Lane lane, LogId log, Offset offset) override { watches[lane] = offset; }
  void WatchLater(SubscribeSession::Lane lane) override { later.insert(lane); }
  void Unwatch(SubscribeSession::Lane lane) override {
    watches.erase(lane);
    later.erase(lane);
  }
  void Write(SubscribeSession::Message message) override {
    std::string bytes = message.head + message.records + std::string(message.batches);
    naru::v1::SubscribeResponse response;
    EXPECT_TRUE(response.ParseFromString(bytes));
    EXPECT_EQ(static_cast<int64_t>(bytes.size()), message.size_bytes());
    written.push_back(response);
  }
  void Finish(const absl::Status& status) override {
    EXPECT_FALSE(finished) << "twice";
    finished = status;
  }

  bool memory_ok = true;
  int64_t message_bytes_max = INT64_MAX;
  std::shared_ptr<const cluster::TopicCatalog> catalog = std::make_shared<cluster::TopicCatalog>();
  std::vector<ReadAsked> reads;
  std::vector<int64_t> finds;
  std::map<SubscribeSession::Lane, Offset> watches;
  std::set<SubscribeSession::Lane> later;                      // to be tried again in a moment
  std::vector<std::pair<SubscribeSession::Lane, bool>> edges;  // asked for: the end, or the start
  std::vector<naru::v1::SubscribeResponse> written;
  std::optional<absl::Status> finished;
};

class SubscribeSessionTest : public ::testing::Test {
 protected:
  SubscribeSessionTest() { SetPartitions(2); }

  void SetPartitions(int count) {
    auto topic = std::make_shared<cluster::TopicInfo>();
    topic->name = "t";
    topic->topic_id = "0123456789abcdef";
    for (int i = 0; i < count; ++i) topic->partitions.push_back({.log = LogId(i + 1)});
    catalog_.topics["t"] = topic;
  }
  naru::v1::SubscribeRequest StartRequest() {
    naru::v1::SubscribeRequest request;
    request.mutable_start()->add_topics()->set_topic("t");
    return request;
  }
  void Start(const naru::v1::SubscribeRequest& request) { session_.OnRequest(request, catalog_); }
  void GiveCredit(int64_t bytes) {
    naru::v1::SubscribeRequest request;
    request.mutable_credit()->set_bytes(bytes);
    session_.OnRequest(request, catalog_);
  }
  // Answers the newest read with `count` records of about `bytes` each.
  void AnswerRead(int count, size_t bytes = 1) {
    const SubscribeEffectsRecorder::ReadAsked asked = effects_.reads.back();
    ReadResult result{.log_start = Offset(3), .readable_end = asked.request.from + count};
    std::vector<std::string> records(count, batch_bytes::Keyless(std::string(bytes, 'v')));
    if (count > 0) {
      StoredBatchView batch;
      batch.base_offset = asked.request.from;
      batch.next_offset = asked.request.from + count;
      batch.record_count = count;
      batch.append_time_ms = 7;
      batch.bytes = absl::Cord(batch_bytes::Batch(records));
      result.batches.push_back(batch);
    }
    session_.OnRead(asked.lane, result, {});
  }
  std::vector<SubscribeSession::Lane> LanesRead() const {
    std::vector<SubscribeSession::Lane> lanes;
    for (const SubscribeEffectsRecorder::ReadAsked& read : effects_.reads) lanes.push_back(read.lane);
    return lanes;
  }
  absl::Status Failure() const { return effects_.finished.value_or(absl::OkStatus()); }

  ConsumeOptions options_;
  ManualClock clock_;
  cluster::TopicCatalog catalog_;
  SubscribeEffectsRecorder effects_;
  SubscribeSession session_{options_, clock_, effects_};
};

}  // namespace naru::services
