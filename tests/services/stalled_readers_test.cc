// Clients that subscribe or fetch and never read: what they pin is counted and bounded, and those that read
// go on.
#include <grpcpp/generic/generic_stub.h>

#include <vector>

#include "gmock/gmock.h"
#include "services/consume/consume_service.h"
#include "storage/base/units.h"
#include "tests/services/hub.h"
#include "tests/services/subscription.h"

namespace naru::services {
namespace {

void Fill(Hub& hub, int records) {
  hub.catalog.SetTopic("t", 1);
  for (int i = 0; i < records; ++i) hub.Append("t", 0, {std::string(500'000, 'x')});
}

// Reads `records` records from the beginning, over a connection of its own.
void ReadAll(Hub& hub, int records) {
  const auto stub = naru::v1::ConsumeService::NewStub(hub.NewChannel());
  Subscription reader(*stub);
  reader.Start(StartAll("t"));
  for (int seen = 0; seen < records && !::testing::Test::HasFailure();) {
    seen += reader.NextDelivery().records_size();
  }
}

TEST(StalledReadersTest, AHundredStreamsThatNeverReadPinLittleAndAReaderIsServedBesideThem) {
  Hub hub;
  constexpr int kStalled = 100;
  Fill(hub, 20);
  const auto stub = naru::v1::ConsumeService::NewStub(hub.NewChannel(true));
  std::vector<std::unique_ptr<Subscription>> stalled;
  for (int i = 0; i < kStalled; ++i) {
    stalled.push_back(std::make_unique<Subscription>(*stub));
    stalled.back()->Start(StartAll("t"));
  }
  ASSERT_TRUE(WaitFor([&] { return hub.consume.Counters().deliveries >= kStalled; }));
  ReadAll(hub, 20);
  const ConsumeSnapshot counters = hub.consume.Counters();
  EXPECT_LE(counters.memory_used_bytes, 128 * kMiB);
  EXPECT_EQ(counters.stalled, 0);
}

TEST(StalledReadersTest, WhenTheMemoryIsUsedUpStalledStreamsAreCancelledAndTheReaderGetsItsTurn) {
  ConsumeOptions options;
  options.memory_bytes = 8 * kMiB;
  options.stalled_after_ms = 200;
  Hub hub({}, options);
  Fill(hub, 20);
  const auto stub = naru::v1::ConsumeService::NewStub(hub.NewChannel(true));
  std::vector<std::unique_ptr<Subscription>> stalled;
  naru::v1::SubscribeStart start = StartAll("t");
  start.set_idle_interval_ms(100);
  for (int i = 0; i < 20; ++i) {
    stalled.push_back(std::make_unique<Subscription>(*stub));
    stalled.back()->Start(start);
  }
  ASSERT_TRUE(WaitFor([&] { return hub.consume.Counters().memory_waiting_bytes > 0; }));
  ReadAll(hub, 20);
  const ConsumeSnapshot counters = hub.consume.Counters();
  EXPECT_GT(counters.stalled, 0);
  EXPECT_LE(counters.memory_used_bytes, options.memory_bytes + 4 * kMiB);
  stalled.clear();
  EXPECT_TRUE(WaitFor([&] {
    return hub.consume.Counters().streams_open == 0 && hub.consume.Counters().memory_used_bytes == 0;
  }));
}

// They hold what they hold until the test ends.
TEST(StalledReadersTest, BesideManyThatNeverReadAReaderAndAFetchAreServedLongBeforeAnybodyIsCutOff) {
  constexpr int kStalled = 100;
  constexpr int kBatches = 150;
  constexpr int kRecords = 60;
  ConsumeOptions options;
  options.memory_bytes = 8 * kMiB;
  options.stream_first_message_bytes = 16 << 10;
  options.stalled_after_ms = 3'600'000;
  Hub hub({}, options);
  hub.catalog.SetTopic("t", 1);
  for (int i = 0; i < kBatches; ++i) {
    hub.Append("t", 0, std::vector<std::string>(kRecords, std::string(1000, 'x')));
  }
  const auto stub = naru::v1::ConsumeService::NewStub(hub.NewChannel(true));
  std::vector<std::unique_ptr<Subscription>> stalled;
  for (int i = 0; i < kStalled; ++i) {
    stalled.push_back(std::make_unique<Subscription>(*stub));
    stalled.back()->Start(StartAll("t"));
  }
  ASSERT_TRUE(WaitFor([&] { return hub.consume.Counters().deliveries >= kStalled; }));
  ReadAll(hub, kBatches * kRecords);
  naru::v1::FetchRequest request;
  request.set_topic("t");
  request.set_max_bytes(1000);
  naru::v1::FetchResponse response;
  EXPECT_EQ(hub.Fetch(request, &response).code, grpc::StatusCode::OK);
  EXPECT_EQ(response.records_size(), 1);
  EXPECT_EQ(hub.consume.Counters().stalled, 0);
  EXPECT_LE(hub.consume.Counters().memory_used_bytes, options.memory_bytes);
}

// Fetches through raw calls whose answers are never asked for.
TEST(StalledReadersTest, FetchesThatAreNeverReadAreCancelledWhileOthersWait) {
  ConsumeOptions options;
  options.memory_bytes = 8 * kMiB;
  options.stalled_after_ms = 200;
  Hub hub({}, options);
  Fill(hub, 20);
  naru::v1::FetchRequest request;
  request.set_topic("t");
  grpc::CompletionQueue queue;
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::GenericClientAsyncReaderWriter>> calls;
  grpc::GenericStub stub(hub.NewChannel(true));
  const grpc::Slice slice(request.SerializeAsString());
  const grpc::ByteBuffer bytes(&slice, 1);
  for (int i = 0; i < 20; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    Hub::SetDeadline(*contexts.back());
    calls.push_back(stub.PrepareCall(contexts.back().get(), "/naru.v1.ConsumeService/Fetch", &queue));
    void* tag = nullptr;
    bool ok = false;
    calls.back()->StartCall(nullptr);
    ASSERT_TRUE(queue.Next(&tag, &ok) && ok);
    calls.back()->Write(bytes, nullptr);
    ASSERT_TRUE(queue.Next(&tag, &ok) && ok);
  }
  ReadAll(hub, 20);
  EXPECT_TRUE(WaitFor([&] { return hub.consume.Counters().stalled > 0; }));
  for (auto& context : contexts) context->TryCancel();
  EXPECT_TRUE(WaitFor([&] { return hub.consume.Counters().fetches_open == 0; }));
  EXPECT_TRUE(WaitFor([&] { return hub.consume.Counters().memory_used_bytes == 0; }));
  calls.clear();
  queue.Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue.Next(&tag, &ok)) {
  }
}

}  // namespace
}  // namespace naru::services
