// The producer whose answers are lost, against a hub that keeps the contract of stamped batches.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <thread>

#include "absl/strings/str_cat.h"
#include "clients/cpp/producer.h"
#include "tests/clients/fake_hub.h"
#include "tests/clients/patience.h"

namespace naru::client {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using testing::FakeHub;
using ::testing::HasSubstr;
using testing::ItemFate;

class IdempotentProducerTest : public ::testing::Test {
 protected:
  IdempotentProducerTest() {
    hub_.AddTopic("t", 3);
    options_.batch_bytes = 1;  // an item for each record
    options_.linger = absl::ZeroDuration();
    options_.backoff = {.initial = absl::Milliseconds(1), .max = absl::Milliseconds(5)};
  }
  std::unique_ptr<Producer> Make() {
    ClientOptions client_options{.servers = {hub_.address()}};
    client_options.backoff = options_.backoff;
    auto producer = Producer::Create(*Client::Create(client_options), options_);
    EXPECT_TRUE(producer.ok()) << producer.status();
    return *std::move(producer);
  }
  void SendNumbers(Producer& producer, int begin, int end) {
    for (int i = begin; i < end; ++i) {
      ASSERT_TRUE(producer
                      .Send("t", {.value = absl::StrCat(i), .partition = PartitionId(0)},
                            [this, i](const Delivery& delivery) {
                              absl::MutexLock lock(&mutex_);
                              offsets_[i] = delivery.offset;
                              statuses_[i] = delivery.status;
                            })
                      .ok());
    }
  }
  static std::vector<std::string> Numbers(int begin, int end) {
    std::vector<std::string> numbers;
    for (int i = begin; i < end; ++i) numbers.push_back(absl::StrCat(i));
    return numbers;
  }
  absl::Status StatusOf(int i) {
    absl::MutexLock lock(&mutex_);
    return statuses_.at(i);
  }

  FakeHub hub_;
  ProducerOptions options_;
  absl::Mutex mutex_;
  std::map<int, int64_t> offsets_;
  std::map<int, absl::Status> statuses_;
};

TEST_F(IdempotentProducerTest, WhatIsSentAgainAfterLostAnswersStandsOnceInOrderAndIsTold) {
  hub_.OnItem([](int number, const auto&) {
    return ItemFate{.break_after = number % 7 == 5, .break_before = number % 11 == 3};
  });
  auto producer = Make();
  SendNumbers(*producer, 0, 200);
  ASSERT_TRUE(producer->Flush(kLong).ok());
  EXPECT_EQ(hub_.Values("t", 0), Numbers(0, 200));
  EXPECT_GT(hub_.duplicates(), 0);
  EXPECT_EQ(hub_.init_producer_calls(), 1);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(offsets_[i], i) << "also of what was answered as a duplicate";
}

TEST_F(IdempotentProducerTest, RefusalsAndLostAnswersTogetherLoseAndDoubleNothing) {
  hub_.OnItem([](int number, const auto&) {
    ItemFate fate;
    if (number % 17 == 3) fate.error = Reason::kTooManyInFlight;
    if (number % 13 == 4) fate.error = Reason::kStorageFull;
    if (number % 23 == 7) fate.break_after = true;
    if (number % 29 == 8) fate.break_before = true;
    return fate;
  });
  options_.batch_bytes = 100;
  auto producer = Make();
  constexpr int kThreads = 4, kRecords = 300;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < kRecords; ++i) {
        ASSERT_TRUE(
            producer->Send("t", {.value = absl::StrCat(thread, "-", i), .partition = PartitionId(i % 3)})
                .ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(producer->Flush(kLong).ok());
  for (int partition = 0; partition < 3; ++partition) {
    std::map<std::string, int> next;
    const std::vector<std::string> values = hub_.Values("t", partition);
    EXPECT_EQ(values.size(), static_cast<size_t>(kThreads * kRecords / 3));
    for (const std::string& value : values) {
      const size_t dash = value.find('-');
      int& expected = next.try_emplace(value.substr(0, dash), partition).first->second;
      EXPECT_EQ(value.substr(dash + 1), absl::StrCat(expected));
      expected += 3;
    }
  }
}

TEST_F(IdempotentProducerTest, ABatchThatTimesOutUnansweredIsReportedAndLaterOnesGoOn) {
  options_.delivery_timeout = absl::Milliseconds(300);
  std::atomic<bool> broken = true;
  hub_.OnItem([&](int, const auto&) { return ItemFate{.break_after = broken}; });
  auto producer = Make();
  SendNumbers(*producer, 0, 1);
  EXPECT_TRUE(absl::IsDeadlineExceeded(producer->Flush(kLong)));
  EXPECT_THAT(std::string(StatusOf(0).message()), HasSubstr("it may have been appended"));
  broken = false;
  SendNumbers(*producer, 1, 10);
  ASSERT_TRUE(producer->Flush(kLong).ok());
  EXPECT_EQ(hub_.Values("t", 0), Numbers(0, 10)) << "the first was appended, once";
}

TEST_F(IdempotentProducerTest, AProducerThatWasForgottenBeginsAnewAndLosesNothing) {
  auto producer = Make();
  SendNumbers(*producer, 0, 3);
  ASSERT_TRUE(producer->Flush(kLong).ok());
  hub_.ForgetProducers();
  SendNumbers(*producer, 3, 20);
  ASSERT_TRUE(producer->Flush(kLong).ok());
  EXPECT_EQ(hub_.Values("t", 0), Numbers(0, 20));
}

TEST_F(IdempotentProducerTest, WhatMayHaveBeenAppendedBeforeTheProducerWasForgottenFailsClearly) {
  auto producer = Make();
  SendNumbers(*producer, 0, 3);
  ASSERT_TRUE(producer->Flush(kLong).ok());
  hub_.OnItem([](int number, const auto&) { return ItemFate{.break_after = number == 4}; });
  hub_.OnStreamBroken([this] { hub_.ForgetProducers(); });
  SendNumbers(*producer, 3, 4);
  EXPECT_EQ(ReasonOf(producer->Flush(kLong)), Reason::kOutOfOrderSequence);
  SendNumbers(*producer, 4, 6);
  ASSERT_TRUE(producer->Flush(kLong).ok());
  EXPECT_EQ(hub_.Values("t", 0), Numbers(0, 6)) << "the fourth was appended, and nobody was told";
}

TEST_F(IdempotentProducerTest, AFencedProducerFailsClearly) {
  hub_.OnItem([](int number, const auto&) {
    return number > 3 ? ItemFate{.error = Reason::kProducerFenced} : ItemFate{};
  });
  auto producer = Make();
  SendNumbers(*producer, 0, 8);
  EXPECT_EQ(ReasonOf(producer->Flush(kLong)), Reason::kProducerFenced);
  for (int i = 3; i < 8; ++i) EXPECT_EQ(ReasonOf(StatusOf(i)), Reason::kProducerFenced) << i;
  EXPECT_EQ(hub_.Values("t", 0), Numbers(0, 3));
}

TEST_F(IdempotentProducerTest, AProducerIdIsAskedForAgainUntilThereIsOne) {
  hub_.OnInitProducer([](int number) {
    return number < 4 ? grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "busy") : grpc::Status::OK;
  });
  auto producer = Make();
  EXPECT_EQ(hub_.init_producer_calls(), 0) << "not before something is sent";
  SendNumbers(*producer, 0, 5);
  ASSERT_TRUE(producer->Flush(kLong).ok());
  EXPECT_EQ(hub_.init_producer_calls(), 4);
  EXPECT_EQ(hub_.Values("t", 0), Numbers(0, 5));
}

TEST_F(IdempotentProducerTest, WithoutAProducerIdRecordsTimeOutAndSayWhy) {
  options_.delivery_timeout = absl::Milliseconds(200);
  hub_.OnInitProducer([](int) { return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "busy"); });
  auto producer = Make();
  SendNumbers(*producer, 0, 1);
  const absl::Status status = producer->Flush(kLong);
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("InitProducer: busy"));
}

TEST_F(IdempotentProducerTest, ABrokerWithoutProducersIsToldAtOnce) {
  hub_.OnInitProducer([](int) { return grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "no such method"); });
  auto producer = Make();
  SendNumbers(*producer, 0, 2);
  EXPECT_TRUE(absl::IsUnimplemented(producer->Flush(kLong)));
}

TEST_F(IdempotentProducerTest, ClosingDoesNotWaitForAProducerId) {
  hub_.OnInitProducer([](int) { return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "busy"); });
  auto producer = Make();
  SendNumbers(*producer, 0, 2);
  EXPECT_FALSE(producer->Close(absl::Milliseconds(20)).ok());
  EXPECT_TRUE(absl::IsCancelled(StatusOf(1)));
}

TEST_F(IdempotentProducerTest, SwitchedOffNothingIsStampedAndNoIdAskedFor) {
  options_.idempotent = false;
  std::atomic<int> stamped = 0;
  hub_.OnItem([&](int, const naru::v1::ProduceRequest& produce) {
    stamped += produce.batch().has_producer();
    return ItemFate{};
  });
  auto producer = Make();
  SendNumbers(*producer, 0, 3);
  ASSERT_TRUE(producer->Flush(kLong).ok());
  EXPECT_EQ(stamped, 0);
  EXPECT_EQ(hub_.init_producer_calls(), 0);
}

TEST_F(IdempotentProducerTest, WithAcksNoneNothingIsStamped) {
  options_.acks = naru::v1::ACKS_NONE;
  auto producer = Make();
  SendNumbers(*producer, 0, 3);
  ASSERT_TRUE(producer->Flush(kLong).ok());
  EXPECT_EQ(hub_.init_producer_calls(), 0);
}

TEST_F(IdempotentProducerTest, CompressedBatchesAreStampedToo) {
  options_.compression = Codec::kZstd;
  options_.batch_bytes = 1'000;
  std::vector<naru::v1::ProducerStamp> stamps;
  hub_.OnItem([&](int, const naru::v1::ProduceRequest& produce) {
    if (produce.batch().has_producer() && !produce.batch().compressed().empty()) {
      stamps.push_back(produce.batch().producer());
    }
    return ItemFate{};
  });
  auto producer = Make();
  ASSERT_TRUE(producer->Send("t", {.value = std::string(2'000, 'x'), .partition = PartitionId(0)}).ok());
  ASSERT_TRUE(producer->Flush(kLong).ok());
  ASSERT_EQ(stamps.size(), 1u);
  EXPECT_EQ(stamps[0].producer_id(), 1);
}

TEST_F(IdempotentProducerTest, MoreBatchesUnderWayThanBrokersRememberAreRefused) {
  options_.in_flight_batches_max = 6;
  EXPECT_EQ(MetadataValue(ValidateProducerOptions(options_), "field"), "in_flight_batches_max");
  options_.idempotent = false;
  EXPECT_TRUE(ValidateProducerOptions(options_).ok());
}

}  // namespace
}  // namespace naru::client
