// The load generator against its own echo server: what it sends is what it says, and latencies count from the
// intended send time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "naru/v1/consume.grpc.pb.h"
#include "naru/v1/produce.grpc.pb.h"
#include "tools/bench/batch_pool.h"
#include "tools/bench/disk_probe.h"
#include "tools/bench/echo_server.h"
#include "tools/bench/produce_load.h"
#include "tools/bench/read_load.h"
#include "tools/bench/report.h"
#include "tools/bench/stream_sequences.h"

namespace naru::bench {
namespace {

template <typename Message>
Message Parse(const grpc::ByteBuffer& buffer) {
  grpc::Slice bytes;
  EXPECT_TRUE(buffer.DumpToSingleSlice(&bytes).ok());
  Message message;
  EXPECT_TRUE(message.ParseFromArray(bytes.begin(), static_cast<int>(bytes.size())));
  return message;
}

TEST(BatchPoolTest, RequestsEncodedByHandAreWhatTheProtoSays) {
  auto pool = BatchPool::Make({.record_bytes = 100, .batch_bytes = 1000});
  ASSERT_TRUE(pool.ok());
  const ProduceTarget target{"t", 3, naru::v1::ACKS_LEADER};
  const auto item = Parse<naru::v1::ProduceStreamRequest>(pool->StreamRequest(77, target, 5));
  EXPECT_EQ(item.id(), 77);
  EXPECT_EQ(item.produce().topic(), "t");
  EXPECT_EQ(item.produce().partition(), 3);
  EXPECT_EQ(item.produce().acks(), naru::v1::ACKS_LEADER);
  ASSERT_EQ(item.produce().batch().records_size(), 10);
  EXPECT_EQ(pool->records_per_batch(), 10);
  EXPECT_EQ(pool->payload_bytes(), 1000);
  EXPECT_EQ(item.produce().batch().records(9).value().size(), 100u);
  EXPECT_EQ(Parse<naru::v1::ProduceRequest>(pool->Request(target, 5)).SerializeAsString(),
            item.produce().SerializeAsString());
}

TEST(BatchPoolTest, StampsStandAtTheBeginningOfEveryValue) {
  auto pool = BatchPool::Make({.record_bytes = 20, .batch_bytes = 300});
  ASSERT_TRUE(pool.ok());
  const auto item =
      Parse<naru::v1::ProduceStreamRequest>(pool->StampedStreamRequest(1, {"t", 0, 3}, 2, 123'456'789));
  ASSERT_EQ(item.produce().batch().records_size(), 15);
  for (const auto& record : item.produce().batch().records()) {
    EXPECT_EQ(BatchPool::StampOf(record.value()), 123'456'789);
    EXPECT_EQ(record.value().size(), 20u);
  }
}

TEST(BatchPoolTest, AProducersStampGoesBeforeTheBatch) {
  auto pool = BatchPool::Make({.record_bytes = 100, .batch_bytes = 1000});
  ASSERT_TRUE(pool.ok());
  StreamSequences sequences(7);
  ProduceTarget target{"t", 2, 3};
  for (const int64_t expected : {0, 10}) {
    target.producer = sequences.Take(2, pool->records_per_batch());
    const auto item = Parse<naru::v1::ProduceStreamRequest>(pool->StreamRequest(1, target, 0));
    EXPECT_EQ(item.produce().batch().producer().producer_id(), 7);
    EXPECT_EQ(item.produce().batch().producer().base_sequence(), expected);
    EXPECT_EQ(item.produce().batch().records_size(), 10);
  }
  EXPECT_EQ(sequences.Take(3, 1), (ProducerStamp{7, 0, 0})) << "each partition by itself";
  sequences.BeginAnew();
  EXPECT_EQ(sequences.Take(2, 1), (ProducerStamp{7, 1, 0}));
}

TEST(BatchPoolTest, ACompressedBatchCountsItsRecords) {
  auto pool = BatchPool::Make({.record_bytes = 1000, .batch_bytes = 10'000, .codec = Codec::kZstd});
  ASSERT_TRUE(pool.ok());
  const auto request = Parse<naru::v1::ProduceRequest>(pool->Request({"t", 0, 3}, 0));
  EXPECT_EQ(request.batch().record_count(), 10u);
  // Half of each payload is random, half is not.
  EXPECT_GT(request.batch().compressed().size(), 4000u);
  EXPECT_LT(request.batch().compressed().size(), 7000u);
}

TEST(ReadLoadTest, RecordsAreCountedWithoutDecodingThem) {
  naru::v1::FetchResponse response;
  response.set_next_offset(12);
  response.set_high_watermark(99);
  response.set_topic_id("0123456789abcdef");
  for (int i = 0; i < 3; ++i) response.add_records()->set_value(std::string(200, 'x'));
  Counted counted;
  ASSERT_TRUE(CountRecords(response.SerializeAsString(), 2, 3, counted));
  EXPECT_EQ(counted.records, 3);
  EXPECT_EQ(counted.next_offset, 12);
  EXPECT_EQ(counted.high_watermark, 99);
  EXPECT_EQ(counted.bytes, 3 * static_cast<int64_t>(response.records(0).ByteSizeLong()));
  EXPECT_FALSE(CountRecords(response.SerializeAsString().substr(0, 100), 2, 3, counted));
}

using Stream = grpc::ServerReaderWriter<naru::v1::ProduceStreamResponse, naru::v1::ProduceStreamRequest>;

class EchoTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    address_ = server_.Start();
    ASSERT_FALSE(address_.empty());
    load_.topic = "t";
    load_.partitions = 3;
    load_.shape = {.record_bytes = 100, .batch_bytes = 1000};
    load_.unary = GetParam();
    load_.idempotent = false;  // the server here gives out no producer ids
  }

  EchoServer server_;
  std::string address_;
  ProduceLoad load_;
};

TEST_P(EchoTest, AClosedLoopIsAnsweredForEveryBatch) {
  load_.depth = 8;
  const auto tally = RunProduce(load_, Connect(address_, 2), Window::FromNow(0.05, 0.2));
  ASSERT_TRUE(tally.ok());
  EXPECT_EQ(tally->failures, 0) << tally->first_failure;
  EXPECT_GT(tally->records, 100);
  EXPECT_EQ(tally->records, tally->latency.count() * 10);
  EXPECT_EQ(tally->payload_bytes, tally->records * 100);
}

TEST_P(EchoTest, ANumberOfBatchesIsSentExactly) {
  load_.depth = 4;
  load_.batches = 50;
  const auto tally = RunProduce(load_, Connect(address_, 2), Window::FromNow(0, 3600));
  ASSERT_TRUE(tally.ok());
  EXPECT_EQ(tally->latency.count(), 100);
}

TEST_P(EchoTest, AnOpenLoopKeepsItsRate) {
  load_.rate = 1000;
  const auto tally = RunProduce(load_, Connect(address_, 2), Window::FromNow(0.05, 0.5));
  ASSERT_TRUE(tally.ok());
  EXPECT_EQ(tally->failures, 0) << tally->first_failure;
  EXPECT_NEAR(static_cast<double>(tally->latency.count()), 500, 50);
}

TEST_P(EchoTest, AServerThatIsNotThereIsAFailureAndNotAHang) {
  load_.rate = 100;
  const auto tally = RunProduce(load_, Connect("127.0.0.1:1", 1), Window::FromNow(0, 0.1));
  ASSERT_TRUE(tally.ok());
  EXPECT_EQ(tally->records, 0);
  EXPECT_GT(tally->failures, 0);
}

INSTANTIATE_TEST_SUITE_P(StreamAndUnary, EchoTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Unary" : "Stream"; });

// Reads nothing for a while, then answers everything.
class StallingService final : public naru::v1::ProduceService::Service {
 public:
  grpc::Status ProduceStream(grpc::ServerContext*, Stream* stream) override {
    absl::Notification().WaitForNotificationWithTimeout(kStall);
    naru::v1::ProduceStreamRequest request;
    while (stream->Read(&request)) {
      naru::v1::ProduceStreamResponse response;
      response.add_results()->set_id(request.id());
      stream->Write(response);
    }
    return grpc::Status::OK;
  }
  static constexpr absl::Duration kStall = absl::Milliseconds(500);
};

TEST(OpenLoopTest, AStallIsInTheLatenciesOfEverythingThatWasDueMeanwhile) {
  StallingService service;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  const auto server = builder.BuildAndStart();

  // Batches larger than the connection's window, so that most of them cannot even be sent before the stall
  // ends. A generator that counts from the real send time would find a few slow batches and many fast ones.
  ProduceLoad load;
  load.idempotent = false;
  load.topic = "t";
  load.shape = {.record_bytes = 10'000, .batch_bytes = 100'000};
  load.rate = 200;
  const Window window = Window::FromNow(0, 1);
  const auto tally = RunProduce(load, Connect(absl::StrCat("127.0.0.1:", port), 1), window);
  ASSERT_TRUE(tally.ok());
  EXPECT_EQ(tally->failures, 0) << tally->first_failure;
  // Half of all was due during the stall, and is late by what was left of it. A slow machine answers fewer
  // within the window, and those late.
  ASSERT_GE(tally->latency.count(), 20);
  EXPECT_GE(tally->latency.Percentile(80), 150'000'000);
  EXPECT_GE(tally->latency.max(), 400'000'000);
}

TEST(FetchLoadTest, AnswersAreReadAgainAndAgain) {
  EchoServer server(100'000);
  const auto tally =
      RunFetch({.topic = "t", .partitions = 2}, Connect(server.Start(), 1), Window::FromNow(0, 0.1));
  ASSERT_TRUE(tally.ok());
  EXPECT_EQ(tally->failures, 0) << tally->first_failure;
  EXPECT_GT(tally->latency.count(), 2);
  EXPECT_GE(tally->payload_bytes, tally->latency.count() * 99'000);
}

// Has no callbacks, so the threads that run the client's end with its last channel.
class PlainService final : public naru::v1::ProduceService::Service,
                           public naru::v1::ConsumeService::Service {
 public:
  grpc::Status Produce(grpc::ServerContext*, const naru::v1::ProduceRequest*,
                       naru::v1::ProduceResponse*) override {
    return grpc::Status::OK;
  }
  grpc::Status ProduceStream(grpc::ServerContext*, Stream* stream) override {
    naru::v1::ProduceStreamRequest request;
    while (stream->Read(&request)) {
      naru::v1::ProduceStreamResponse response;
      response.add_results()->set_id(request.id());
      stream->Write(response);
    }
    return grpc::Status::OK;
  }
  grpc::Status Fetch(grpc::ServerContext*, const naru::v1::FetchRequest* request,
                     naru::v1::FetchResponse* response) override {
    response->set_next_offset(request->offset() + 1);
    response->set_high_watermark(request->offset() + 1);
    response->add_records()->set_value("v");
    return grpc::Status::OK;
  }
};

TEST(ChannelTest, TheLastOneNeverGoesOnAThreadOfItsOwn) {
  // As naru-bench does: where abseil looks for cycles of locks, it takes what gRPC does with its last channel
  // and the next first one for such a cycle, and ends the process.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  PlainService service;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(static_cast<naru::v1::ProduceService::Service*>(&service));
  builder.RegisterService(static_cast<naru::v1::ConsumeService::Service*>(&service));
  const auto server = builder.BuildAndStart();
  const std::string address = absl::StrCat("127.0.0.1:", port);
  ProduceLoad load;
  load.idempotent = false;
  load.topic = "t";
  load.depth = 4;
  load.batches = 8;
  load.shape = {.record_bytes = 8, .batch_bytes = 8};
  // gRPC ends the process when it does: each run lets go of its channel the moment it has its last answer.
  for (int i = 0; i < 200; ++i) {
    load.unary = i % 2 == 0;
    const auto produced = RunProduce(load, Connect(address, 1), Window::FromNow(0, 3600));
    ASSERT_TRUE(produced.ok() && produced->failures == 0) << produced->first_failure;
    const auto fetched = RunFetch({.topic = "t"}, Connect(address, 1), Window::FromNow(0, 0.001));
    ASSERT_TRUE(fetched.ok() && fetched->failures == 0) << fetched->first_failure;
  }
}

TEST(DiskProbeTest, AppendsAndSyncsAreCounted) {
  const auto result = ProbeAppend(testing::TempDir(), {.piece_bytes = 4096, .sync_every = 2, .seconds = 0.1});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_GT(result->pieces_per_second, 10);
  EXPECT_NEAR(static_cast<double>(result->sync.count()), result->pieces_per_second * result->seconds / 2, 1);
  EXPECT_NEAR(result->seconds, 0.05, 0.04) << "half of the time";
  EXPECT_FALSE(ProbeAppend("/nowhere", {}).ok());
}

TEST(ReportTest, FiguresAreJsonWithEveryPercentile) {
  Tally tally;
  tally.records = 1000;
  tally.payload_bytes = 2'000'000;
  for (int i = 1; i <= 1000; ++i) tally.latency.Record(i * 1'000'000);
  const auto json = nlohmann::json::parse(ToJson({ToFigure("1-topic-1-partition-2kb", tally, 2)}));
  const auto& figure = json["figures"][0];
  EXPECT_EQ(figure["workload"], "1-topic-1-partition-2kb");
  EXPECT_DOUBLE_EQ(figure["records_per_second"], 500);
  EXPECT_NEAR(figure["latency_ms"]["p50"], 500, 3);
  EXPECT_NEAR(figure["latency_ms"]["p99.99"], 1000, 1);
  EXPECT_FALSE(figure.contains("server_cores"));
  EXPECT_FALSE(figure.contains("shares"));
}

TEST(ReportTest, EveryShareIsShownAndTheGreatestFirst) {
  Figure figure = ToFigure("1-topic-16-partitions-1kb-64k-at-2640-fsync-arrival", {}, 2);
  figure.shares = {{"append 64k, fdatasync each", 0.75}, {"grpc echo 64k", 0.5}};
  const std::string table = TableLine(figure);
  EXPECT_THAT(table, testing::HasSubstr("75%\n    75% of append 64k, fdatasync each; 50% of grpc echo 64k"));
  EXPECT_LE(table.find('\n'), 120u);
  EXPECT_EQ(TableHead().size(), table.find('\n'));
  const auto json = nlohmann::json::parse(ToJson({figure}))["figures"][0];
  EXPECT_EQ(json["limit"], "append 64k, fdatasync each");
  EXPECT_EQ(json["share_of_limit"], 0.75);
  EXPECT_EQ(json["shares"]["grpc echo 64k"], 0.5);
}

}  // namespace
}  // namespace naru::bench
