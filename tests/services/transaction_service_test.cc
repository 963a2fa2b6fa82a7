#include "services/transaction/transaction_service.h"

#include <grpcpp/grpcpp.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "cluster/coordinator/topic_coordinator.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/log/memory_log_store.h"
#include "tests/services/grpc_errors.h"
#include "tests/services/raw_calls.h"
#include "tests/services/serve_on_loopback.h"

namespace naru::services {
namespace {

using ::testing::HasSubstr;

// A server as in production, over a store in memory.
class TransactionServiceTest : public ::testing::Test {
 protected:
  void SetUp() override { StartAll(); }
  void TearDown() override { StopAll(); }

  void StartAll() {
    coordinator_.emplace(cluster::CoordinatorOptions{}, map_, logs_, clock_, events_);
    ASSERT_TRUE(coordinator_->Start().ok());
    service_.emplace(*coordinator_);
    std::string target;
    server_ = testing::ServeOnLoopback(*service_, target);
    ASSERT_NE(server_, nullptr);
    channel_ = grpc::CreateChannel(target, grpc::InsecureChannelCredentials());
    stub_ = naru::v1::TransactionService::NewStub(channel_);
  }
  void StopAll() {
    server_->Shutdown();
    server_->Wait();
    coordinator_->Stop();
  }

  naru::v1::InitProducerResponse Init(std::optional<int64_t> producer_id = {},
                                      std::optional<int64_t> epoch = {}) {
    naru::v1::InitProducerRequest request;
    if (producer_id) request.set_producer_id(*producer_id);
    if (epoch) request.set_epoch(*epoch);
    grpc::ClientContext context;
    naru::v1::InitProducerResponse response;
    status_ = stub_->InitProducer(&context, request, &response);
    metadata_.clear();
    reason_ = ReasonSeen(context, status_, &metadata_);
    return response;
  }

  SystemClock clock_;
  NullEventLog events_;
  MemoryMapStore map_;
  MemoryLogStore logs_{clock_};
  std::optional<cluster::TopicCoordinator> coordinator_;
  std::optional<TransactionService> service_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<naru::v1::TransactionService::Stub> stub_;
  grpc::Status status_;
  std::string reason_;
  std::map<std::string, std::string> metadata_;
};

TEST_F(TransactionServiceTest, EveryProducerGetsAnIdOfItsOwnWithEpochZero) {
  std::set<int64_t> ids;
  for (int i = 0; i < 5; ++i) {
    const naru::v1::InitProducerResponse response = Init();
    ASSERT_TRUE(status_.ok()) << status_.error_message();
    EXPECT_GE(response.producer_id(), 1);
    EXPECT_EQ(response.epoch(), 0);
    EXPECT_TRUE(ids.insert(response.producer_id()).second);
  }
  StopAll();
  StartAll();
  EXPECT_TRUE(ids.insert(Init().producer_id()).second) << "also after a restart";
}

TEST_F(TransactionServiceTest, ManyAtOnceGetIdsOfTheirOwn) {
  constexpr int kThreads = 4;
  absl::Mutex mutex;
  std::set<int64_t> ids;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 300; ++i) {
        grpc::ClientContext context;
        naru::v1::InitProducerResponse response;
        ASSERT_TRUE(stub_->InitProducer(&context, {}, &response).ok());
        absl::MutexLock lock(&mutex);
        EXPECT_TRUE(ids.insert(response.producer_id()).second);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ids.size(), 300u * kThreads);
}

TEST_F(TransactionServiceTest, AProducerThatIsKnownGetsItsNextEpoch) {
  const int64_t id = Init().producer_id();
  const naru::v1::InitProducerResponse next = Init(id, 0);
  ASSERT_TRUE(status_.ok()) << status_.error_message();
  EXPECT_EQ(next.producer_id(), id);
  EXPECT_EQ(next.epoch(), 1);
  EXPECT_EQ(Init(id, 1).epoch(), 2);
}

TEST_F(TransactionServiceTest, WhatCannotBeIsRefusedWithFieldAndValue) {
  const int64_t id = Init().producer_id();
  const auto field_of = [&](std::optional<int64_t> producer_id, std::optional<int64_t> epoch) {
    Init(producer_id, epoch);
    EXPECT_EQ(status_.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(reason_, "INVALID_FIELD");
    return metadata_["field"] + "=" + metadata_["value"];
  };
  EXPECT_EQ(field_of(id, {}), "epoch=absent");
  EXPECT_EQ(field_of({}, 0), "producer_id=absent");
  EXPECT_EQ(field_of(0, 0), "producer_id=0");
  EXPECT_EQ(field_of(id + 1, 0), "producer_id=" + std::to_string(id + 1));
  EXPECT_EQ(field_of(id, -1), "epoch=-1");
  EXPECT_EQ(field_of(id, INT64_MAX), "epoch=9223372036854775807");
}

TEST_F(TransactionServiceTest, BytesThatAreNoRequestAreAnInvalidField) {
  const RawEnd raw = CallRaw(channel_, "/naru.v1.TransactionService/InitProducer", {"\x08"});
  EXPECT_EQ(raw.end.code, grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(raw.end.reason, "INVALID_FIELD");
  EXPECT_THAT(raw.end.message, HasSubstr("InitProducerRequest"));
}

TEST_F(TransactionServiceTest, ShuttingDownItRefuses) {
  service_->Shutdown();
  Init();
  EXPECT_EQ(status_.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(reason_, "SHUTTING_DOWN");
}

}  // namespace
}  // namespace naru::services
