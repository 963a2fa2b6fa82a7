// A batch whose answer was lost, sent again to a hub that was restarted meanwhile.
#include "naru/v1/transaction.grpc.pb.h"
#include "tests/services/server/server_fixture.h"

namespace naru::services {
namespace {

class IdempotentRestartTest : public ServerTest {
 protected:
  void Restart() {
    if (server_ != nullptr) server_->Shutdown(1'000);
    server_.reset();
    server_ = Start();
    ASSERT_NE(server_, nullptr);
  }
  naru::v1::InitProducerResponse InitProducer() {
    naru::v1::InitProducerResponse response;
    EXPECT_TRUE(naru::v1::TransactionService::NewStub(Connect(*server_))
                    ->InitProducer(Context().get(), {}, &response)
                    .ok());
    return response;
  }
  // The answer, or the reason why there is none.
  naru::v1::PartitionProduceResult Send(const naru::v1::InitProducerResponse& producer, int64_t base_sequence,
                                        const std::string& value) {
    naru::v1::ProduceRequest request;
    request.set_topic("t");
    request.set_partition(0);
    naru::v1::ProducerStamp& stamp = *request.mutable_batch()->mutable_producer();
    stamp.set_producer_id(producer.producer_id());
    stamp.set_epoch(producer.epoch());
    stamp.set_base_sequence(base_sequence);
    request.mutable_batch()->add_records()->set_value(value);
    const auto context = Context();
    naru::v1::ProduceResponse response;
    const grpc::Status status =
        naru::v1::ProduceService::NewStub(Connect(*server_))->Produce(context.get(), request, &response);
    if (status.ok()) return response.results(0);
    naru::v1::PartitionProduceResult failed;
    const auto& trailers = context->GetServerTrailingMetadata();
    const auto reason = trailers.find("naru-reason");
    if (reason != trailers.end()) {
      failed.mutable_error()->set_reason(std::string(reason->second.data(), reason->second.size()));
    }
    return failed;
  }

  std::unique_ptr<Server> server_;
};

TEST_F(IdempotentRestartTest, ABatchSentAgainAfterARestartIsKnownAndSoIsTheNext) {
  Restart();
  ASSERT_TRUE(CreateTopic(*server_, "t").ok());
  naru::v1::InitProducerResponse producer = InitProducer();
  EXPECT_EQ(Send(producer, 0, "a").base_offset(), 0);
  EXPECT_EQ(Send(producer, 1, "b").base_offset(), 1);
  Restart();
  const naru::v1::PartitionProduceResult again = Send(producer, 1, "b");
  EXPECT_TRUE(again.duplicate());
  EXPECT_EQ(again.base_offset(), 1);
  EXPECT_EQ(again.next_offset(), 2);
  EXPECT_EQ(Send(producer, 3, "d").error().reason(), "OUT_OF_ORDER_SEQUENCE");
  EXPECT_FALSE(Send(producer, 2, "c").duplicate());
  naru::v1::InitProducerResponse next = producer;
  next.set_epoch(1);
  EXPECT_EQ(Send(next, 0, "d").base_offset(), 3);
  Restart();
  EXPECT_EQ(Send(producer, 3, "late").error().reason(), "PRODUCER_FENCED");
  EXPECT_TRUE(Send(next, 0, "d").duplicate());
  EXPECT_EQ(Fetch(*server_, "t"), (std::vector<std::string>{"a", "b", "c", "d"}));
}

TEST_F(IdempotentRestartTest, ARestartGivesOutNoProducerIdAgain) {
  Restart();
  const int64_t before = InitProducer().producer_id();
  Restart();
  EXPECT_GT(InitProducer().producer_id(), before);
}

}  // namespace
}  // namespace naru::services
