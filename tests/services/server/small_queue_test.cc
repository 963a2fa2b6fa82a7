// Topics with background durability before a small queue of the store: what was acknowledged must make room
// for what comes next, though the disk has not been asked for it yet.
#include <map>
#include <thread>

#include "tests/services/server/server_fixture.h"

namespace naru::services {
namespace {

constexpr int kItems = 40;
const std::string& Value() {
  static const auto* value = new std::string(1'000'000, 'x');
  return *value;
}

class SmallQueueTest : public ServerTest {
 protected:
  void SetUp() override {
    options_.store.queue_bytes_max = 4 << 20;
    // The disk is not asked for anything unless the store finds that it must.
    options_.store.background_sync_interval_ms = 60'000;
    server_ = Start();
    ASSERT_NE(server_, nullptr);
    ASSERT_TRUE(CreateTopic(*server_, "t", naru::v1::DURABILITY_BACKGROUND).ok());
  }

  std::unique_ptr<Server> server_;
};

TEST_F(SmallQueueTest, AProducerThatWaitsForEachAnswerIsNeverRefused) {
  for (int i = 0; i < kItems; ++i) {
    const grpc::Status status = Produce(*server_, "t", Value());
    ASSERT_TRUE(status.ok()) << i << ": " << status.error_message();
  }
}

TEST_F(SmallQueueTest, AStreamThatSendsAsFastAsItMayIsNeverRefused) {
  const auto stub = naru::v1::ProduceService::NewStub(Connect(*server_));
  const auto context = Context();
  const auto stream = stub->ProduceStream(context.get());
  std::thread writer([&] {
    naru::v1::ProduceStreamRequest request;
    request.mutable_produce()->set_topic("t");
    request.mutable_produce()->mutable_batch()->add_records()->set_value(Value());
    for (int i = 0; i < kItems; ++i) {
      request.set_id(i);
      ASSERT_TRUE(stream->Write(request));
    }
    stream->WritesDone();
  });
  std::map<std::string, int> answers;
  naru::v1::ProduceStreamResponse response;
  while (stream->Read(&response)) {
    for (const auto& result : response.results()) ++answers[result.error().reason()];
  }
  writer.join();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(answers, (std::map<std::string, int>{{"", kItems}}));
}

}  // namespace
}  // namespace naru::services
