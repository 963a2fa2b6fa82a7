// The producer against the real server, over connections that lose answers, and over restarts of the server:
// each value stands in the log once, and in order.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "absl/strings/str_cat.h"
#include "clients/cpp/producer.h"
#include "tests/clients/cutting_proxy.h"
#include "tests/clients/patience.h"
#include "tests/services/server/server_fixture.h"

namespace naru::client {
namespace {

class IdempotentRestartTest : public services::ServerTest {
 protected:
  IdempotentRestartTest() { options_.advertise = proxy_.address(); }

  void Restart() {
    server_.reset();
    server_ = Start();
    ASSERT_NE(server_, nullptr);
    proxy_.SetTarget(server_->address().port);
  }
  std::unique_ptr<Producer> MakeProducer(bool idempotent) {
    ProducerOptions options;
    options.idempotent = idempotent;
    options.batch_bytes = 200;
    options.linger = absl::ZeroDuration();
    options.buffer_bytes_max = 64 << 10;
    options.backoff = {.initial = absl::Milliseconds(1), .max = absl::Milliseconds(20)};
    auto client = Client::Create({.servers = {proxy_.address()}, .backoff = options.backoff});
    EXPECT_TRUE(client.ok()) << client.status();
    auto producer = Producer::Create(*client, options);
    EXPECT_TRUE(producer.ok()) << producer.status();
    return *std::move(producer);
  }
  // Sends "0", "1", … until so many connections were cut, with restarts meanwhile; gives how many.
  int SendThroughCuts(Producer& producer, int cuts, int restarts) {
    std::atomic<bool> stop = false;
    std::atomic<int> sent = 0;
    std::thread sender([&] {
      while (!stop) {
        const absl::Status status = producer.Send("t", {.value = absl::StrCat(sent.load())});
        ASSERT_TRUE(status.ok()) << status;
        ++sent;
      }
    });
    for (int round = 1; round <= restarts; ++round) {
      while (proxy_.cuts() < cuts * round / (restarts + 1)) std::this_thread::yield();
      Restart();
    }
    while (proxy_.cuts() < cuts) std::this_thread::yield();
    stop = true;
    sender.join();
    proxy_.SetCutting(false);
    const absl::Status flushed = producer.Flush(kLong);
    EXPECT_TRUE(flushed.ok()) << flushed;
    return sent;
  }
  std::vector<std::string> ReadAll(size_t expected) {
    std::vector<std::string> values;
    const auto consumer = naru::v1::ConsumeService::NewStub(Connect(*server_));
    naru::v1::FetchRequest request;
    request.set_topic("t");
    while (true) {
      naru::v1::FetchResponse response;
      EXPECT_TRUE(consumer->Fetch(Context().get(), request, &response).ok());
      for (const auto& record : response.records()) values.push_back(record.value());
      if (response.records_size() == 0 || values.size() > 2 * expected) return values;
      request.set_offset(response.next_offset());
    }
  }

  testing::CuttingProxy proxy_{testing::CutLimits{}};
  std::unique_ptr<services::Server> server_;
};

TEST_F(IdempotentRestartTest, EachValueStandsOnceAndInOrderThoughAnswersAreLostAndTheServerIsRestarted) {
  Restart();
  ASSERT_TRUE(CreateTopic(*server_, "t").ok());
  auto producer = MakeProducer(true);
  const int sent = SendThroughCuts(*producer, 6, 2);
  const std::vector<std::string> values = ReadAll(static_cast<size_t>(sent));
  ASSERT_EQ(values.size(), static_cast<size_t>(sent));
  for (int i = 0; i < sent; ++i) ASSERT_EQ(values[static_cast<size_t>(i)], absl::StrCat(i));
}

TEST_F(IdempotentRestartTest, WithoutStampsTheSameLossesDoubleValues) {
  Restart();
  ASSERT_TRUE(CreateTopic(*server_, "t").ok());
  auto producer = MakeProducer(false);
  const int sent = SendThroughCuts(*producer, 2, 0);
  EXPECT_GT(ReadAll(static_cast<size_t>(sent)).size(), static_cast<size_t>(sent));
}

}  // namespace
}  // namespace naru::client
