#include "clients/cpp/producer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "tests/clients/fake_hub.h"
#include "tests/clients/patience.h"

namespace naru::client {
namespace {

using ::testing::ElementsAre;
using testing::FakeHub;
using ::testing::HasSubstr;
using testing::ItemFate;

// Deliveries as they come, by value sent.
class Deliveries {
 public:
  DeliveryCallback For(std::string value) {
    return [this, value = std::move(value)](const Delivery& delivery) {
      absl::MutexLock lock(&mutex_);
      order_.push_back(value);
      seen_[value] = {std::string(delivery.topic), delivery.partition,     delivery.status, delivery.offset,
                      delivery.timestamp_ms,       delivery.maybe_appended};
    };
  }
  struct Seen {
    std::string topic;
    PartitionId partition;
    absl::Status status;
    int64_t offset = -1;
    int64_t timestamp_ms = 0;
    bool maybe_appended = false;
  };
  Seen Of(const std::string& value) {
    absl::MutexLock lock(&mutex_);
    return seen_.at(value);
  }
  std::vector<std::string> Order() {
    absl::MutexLock lock(&mutex_);
    return order_;
  }

 private:
  absl::Mutex mutex_;
  std::vector<std::string> order_;
  std::map<std::string, Seen> seen_;
};

class ProducerTest : public ::testing::Test {
 protected:
  ProducerTest() {
    hub_.AddTopic("t", 3);
    options_.batch_bytes = 1;  // an item for each record
    options_.linger = absl::ZeroDuration();
    options_.backoff = {.initial = absl::Milliseconds(1), .max = absl::Milliseconds(5)};
    options_.rotation_start = PartitionId(0);
  }

  std::unique_ptr<Producer> Make() {
    ClientOptions client_options{.servers = {hub_.address()}};
    client_options.backoff = options_.backoff;
    auto client = Client::Create(client_options);
    EXPECT_TRUE(client.ok()) << client.status();
    auto producer = Producer::Create(*client, options_);
    EXPECT_TRUE(producer.ok()) << producer.status();
    return *std::move(producer);
  }
  // Sends "0", "1", … to partition 0.
  void SendNumbers(Producer& producer, int count) {
    for (int i = 0; i < count; ++i) {
      const std::string value = absl::StrCat(i);
      ASSERT_TRUE(
          producer.Send("t", {.value = value, .partition = PartitionId(0)}, deliveries_.For(value)).ok());
    }
  }
  static std::vector<std::string> Numbers(int count) {
    std::vector<std::string> numbers;
    for (int i = 0; i < count; ++i) numbers.push_back(absl::StrCat(i));
    return numbers;
  }
  // Without what stands again: each value where it stands first.
  static std::vector<std::string> FirstOnly(const std::vector<std::string>& values) {
    std::vector<std::string> first;
    for (const std::string& value : values) {
      if (std::find(first.begin(), first.end(), value) == first.end()) first.push_back(value);
    }
    return first;
  }

  FakeHub hub_;
  ProducerOptions options_;
  Deliveries deliveries_;
};

TEST_F(ProducerTest, EveryDeliverySaysWhereTheRecordStands) {
  options_.batch_bytes = 1 << 20;
  options_.linger = absl::Milliseconds(20);
  auto producer = Make();
  ASSERT_TRUE(producer->Send("t", {.value = "a", .partition = PartitionId(2)}, deliveries_.For("a")).ok());
  ASSERT_TRUE(
      producer
          ->Send("t", {.value = "b", .timestamp_ms = 77, .partition = PartitionId(2)}, deliveries_.For("b"))
          .ok());
  ASSERT_TRUE(producer->Flush(kLong).ok());
  EXPECT_EQ(hub_.items(), 1) << "both go in one batch";
  EXPECT_EQ(deliveries_.Of("a").topic, "t");
  EXPECT_EQ(deliveries_.Of("a").partition, PartitionId(2));
  EXPECT_EQ(deliveries_.Of("a").offset, 0);
  EXPECT_EQ(deliveries_.Of("a").timestamp_ms, 1'700'000'000'000) << "the append time";
  EXPECT_EQ(deliveries_.Of("b").offset, 1);
  EXPECT_EQ(deliveries_.Of("b").timestamp_ms, 77);
}

TEST_F(ProducerTest, SevenKeylessRecordsOverThreePartitionsLandThreeTwoTwo) {
  auto producer = Make();
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(producer->Send("t", {.value = absl::StrCat(i)}).ok());
  ASSERT_TRUE(producer->Flush(kLong).ok());
  EXPECT_THAT(hub_.Values("t", 0), ElementsAre("0", "3", "6"));
  EXPECT_THAT(hub_.Values("t", 1), ElementsAre("1", "4"));
  EXPECT_THAT(hub_.Values("t", 2), ElementsAre("2", "5"));
}

TEST_F(ProducerTest, StorageFullThenOkLosesNothingAndKeepsTheOrder) {
  hub_.OnItem([](int number, const auto&) {
    return number >= 3 && number <= 6 ? ItemFate{.error = Reason::kStorageFull} : ItemFate{};
  });
  auto producer = Make();
  SendNumbers(*producer, 50);
  ASSERT_TRUE(producer->Flush(kLong).ok());
  EXPECT_EQ(hub_.Values("t", 0), Numbers(50)) << "each once, in order";
  EXPECT_GE(hub_.resumes(), 1);
}

TEST_F(ProducerTest, NoLeaderAndTooManyInFlightAreTriedAgainInOrder) {
  hub_.OnItem([](int number, const auto&) {
    if (number == 2) return ItemFate{.error = Reason::kNoLeader};
    if (number == 9) return ItemFate{.error = Reason::kTooManyInFlight};
    return ItemFate{};
  });
  auto producer = Make();
  SendNumbers(*producer, 30);
  ASSERT_TRUE(producer->Flush(kLong).ok());
  EXPECT_EQ(hub_.Values("t", 0), Numbers(30));
  EXPECT_GE(hub_.metadata_calls(), 2) << "NO_LEADER asks who leads now";
}

TEST_F(ProducerTest, AnotherPartitionIsNotHeldUpByOneThatFails) {
  std::atomic<bool> full = true;
  hub_.OnItem([&](int, const naru::v1::ProduceRequest& produce) {
    return produce.partition() == 0 && full ? ItemFate{.error = Reason::kStorageFull} : ItemFate{};
  });
  auto producer = Make();
  SendNumbers(*producer, 5);
  absl::Notification other_is_there;
  ASSERT_TRUE(producer
                  ->Send("t", {.value = "other", .partition = PartitionId(1)},
                         [&](const Delivery&) { other_is_there.Notify(); })
                  .ok());
  EXPECT_TRUE(other_is_there.WaitForNotificationWithTimeout(kLong));
  EXPECT_THAT(hub_.Values("t", 0), ElementsAre());
  full = false;
  ASSERT_TRUE(producer->Flush(kLong).ok());
  EXPECT_EQ(hub_.Values("t", 0), Numbers(5));
}

TEST_F(ProducerTest, AStreamThatBreaksAfterAppendingLosesNothingAndKeepsTheOrderOfFirstAppearance) {
  options_.idempotent = false;
  hub_.OnItem([](int number, const auto&) { return ItemFate{.break_after = number == 5 || number == 11}; });
  auto producer = Make();
  SendNumbers(*producer, 40);
  ASSERT_TRUE(producer->Flush(kLong).ok());
  const auto values = hub_.Values("t", 0);
  EXPECT_EQ(FirstOnly(values), Numbers(40));
  EXPECT_GT(values.size(), 40u) << "the batch appended unanswered stands twice";
  EXPECT_EQ(hub_.produce_streams(), 3);
}

TEST_F(ProducerTest, AStreamThatBreaksBeforeAppendingIsSentAgain) {
  options_.idempotent = false;
  hub_.OnItem([](int number, const auto&) { return ItemFate{.break_before = number == 4}; });
  auto producer = Make();
  SendNumbers(*producer, 20);
  ASSERT_TRUE(producer->Flush(kLong).ok());
  EXPECT_EQ(FirstOnly(hub_.Values("t", 0)), Numbers(20));
}

TEST_F(ProducerTest, WithoutRetryOfTheUnknownNothingStandsTwiceAndTheUnknownIsReported) {
  options_.retry_unknown = false;
  hub_.OnItem([](int number, const auto&) { return ItemFate{.break_after = number == 5}; });
  auto producer = Make();
  SendNumbers(*producer, 20);
  EXPECT_TRUE(absl::IsUnavailable(producer->Flush(kLong)));
  const auto values = hub_.Values("t", 0);
  EXPECT_EQ(std::set<std::string>(values.begin(), values.end()).size(), values.size());
  EXPECT_TRUE(deliveries_.Of("4").maybe_appended);
  EXPECT_FALSE(deliveries_.Of("4").status.ok());
  int ok = 0;
  for (const std::string& number : Numbers(20)) {
    const bool stands = std::find(values.begin(), values.end(), number) != values.end();
    if (deliveries_.Of(number).status.ok()) {
      ++ok;
      EXPECT_TRUE(stands) << number;
    } else {
      EXPECT_TRUE(deliveries_.Of(number).maybe_appended) << number;
    }
  }
  EXPECT_GE(ok, 4);
}

TEST_F(ProducerTest, AnswersOutOfOrderReachTheRightRecords) {
  hub_.OnItem([](int number, const auto&) { return ItemFate{.hold = number < 6, .release = number == 6}; });
  auto producer = Make();
  for (int i = 0; i < 6; ++i) {
    const std::string value = absl::StrCat(i);
    ASSERT_TRUE(
        producer->Send("t", {.value = value, .partition = PartitionId(i % 3)}, deliveries_.For(value)).ok());
  }
  ASSERT_TRUE(producer->Flush(kLong).ok());
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(deliveries_.Of(absl::StrCat(i)).partition, PartitionId(i % 3));
    EXPECT_EQ(deliveries_.Of(absl::StrCat(i)).offset, i / 3);
  }
}

TEST_F(ProducerTest, ARecordThatIsRefusedFailsAloneAndThoseBehindItAreAppended) {
  hub_.OnItem([](int, const naru::v1::ProduceRequest& produce) {
    return produce.batch().records(0).value() == "3" ? ItemFate{.error = Reason::kRecordTooLarge}
                                                     : ItemFate{};
  });
  auto producer = Make();
  SendNumbers(*producer, 8);
  EXPECT_EQ(ReasonOf(producer->Flush(kLong)), Reason::kRecordTooLarge);
  EXPECT_THAT(hub_.Values("t", 0), ElementsAre("0", "1", "2", "4", "5", "6", "7"));
  EXPECT_EQ(deliveries_.Of("3").offset, -1);
  EXPECT_FALSE(deliveries_.Of("3").maybe_appended);
  EXPECT_TRUE(producer->Flush(kLong).ok()) << "a failure is said once";
}

TEST_F(ProducerTest, AnAppendAnsweredAfterTheFailureBehindItDoesNotStopThePartition) {
  hub_.OnItem([](int number, const auto&) {
    if (number == 1) return ItemFate{.hold = true};
    if (number == 2) return ItemFate{.error = Reason::kRecordTooLarge, .release = true};
    return ItemFate{};
  });
  auto producer = Make();
  SendNumbers(*producer, 6);
  EXPECT_EQ(ReasonOf(producer->Flush(kLong)), Reason::kRecordTooLarge);
  EXPECT_THAT(hub_.Values("t", 0), ElementsAre("0", "2", "3", "4", "5"));
}

TEST_F(ProducerTest, ABrokerThatNeverAnswersIsLeftAndAskedAgain) {
  options_.request_timeout = absl::Milliseconds(100);
  hub_.OnItem([](int number, const auto&) { return ItemFate{.swallow = number == 1}; });
  auto producer = Make();
  SendNumbers(*producer, 1);
  ASSERT_TRUE(producer->Flush(kLong).ok());
  EXPECT_EQ(hub_.produce_streams(), 2);
}

TEST_F(ProducerTest, ARecordThatIsTriedTooLongFailsWithTheLastError) {
  options_.delivery_timeout = absl::Milliseconds(100);
  hub_.OnItem([](int, const auto&) { return ItemFate{.error = Reason::kStorageFull}; });
  auto producer = Make();
  SendNumbers(*producer, 1);
  const absl::Status status = producer->Flush(kLong);
  EXPECT_TRUE(absl::IsDeadlineExceeded(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("scripted"));
}

TEST_F(ProducerTest, AFullBufferRefusesAtOnceWhenAskedTo) {
  options_.block_timeout = absl::ZeroDuration();
  options_.buffer_bytes_max = 4'000;
  hub_.OnItem([](int, const auto&) { return ItemFate{.error = Reason::kStorageFull}; });
  auto producer = Make();
  const std::string value(1'000, 'x');
  absl::Status status;
  for (int i = 0; i < 10 && status.ok(); ++i) status = producer->Send("t", {.value = value});
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
}

TEST_F(ProducerTest, AFullBufferBlocksUntilThereIsRoom) {
  options_.buffer_bytes_max = 4'000;
  std::atomic<bool> full = true;
  hub_.OnItem([&](int, const auto&) { return full ? ItemFate{.error = Reason::kStorageFull} : ItemFate{}; });
  auto producer = Make();
  std::atomic<int> sent = 0;
  std::thread sender([&] {
    const std::string value(1'000, 'x');
    for (int i = 0; i < 20; ++i) {
      EXPECT_TRUE(producer->Send("t", {.value = value, .partition = PartitionId(0)}).ok());
      ++sent;
    }
  });
  while (hub_.items() < 5) std::this_thread::yield();
  EXPECT_LE(sent, 4);
  full = false;
  sender.join();
  ASSERT_TRUE(producer->Flush(kLong).ok());
  EXPECT_EQ(hub_.Values("t", 0).size(), 20u);
}

TEST_F(ProducerTest, CallbacksMaySendAndAreRefusedTheCallsThatWouldWaitForThem) {
  auto producer = Make();
  absl::Notification done;
  ASSERT_TRUE(producer
                  ->Send("t", {.value = "first", .partition = PartitionId(0)},
                         [&](const Delivery&) {
                           EXPECT_TRUE(absl::IsFailedPrecondition(producer->Flush(kLong)));
                           EXPECT_TRUE(absl::IsFailedPrecondition(producer->Close(kLong)));
                           EXPECT_TRUE(
                               producer->Send("t", {.value = "second", .partition = PartitionId(0)}).ok());
                           done.Notify();
                         })
                  .ok());
  ASSERT_TRUE(done.WaitForNotificationWithTimeout(kLong));
  ASSERT_TRUE(producer->Flush(kLong).ok());
  EXPECT_THAT(hub_.Values("t", 0), ElementsAre("first", "second"));
}

TEST_F(ProducerTest, CloseFailsWhatIsNotAnsweredInTimeAndCallsBackForEverything) {
  hub_.OnItem([](int, const auto&) { return ItemFate{.error = Reason::kStorageFull}; });
  auto producer = Make();
  SendNumbers(*producer, 10);
  EXPECT_FALSE(producer->Close(absl::Milliseconds(20)).ok());
  EXPECT_EQ(deliveries_.Order().size(), 10u);
  EXPECT_TRUE(absl::IsCancelled(deliveries_.Of("9").status));
  EXPECT_TRUE(absl::IsFailedPrecondition(producer->Send("t", {.value = "late"})));
}

TEST_F(ProducerTest, ProducersThatComeAndGoLeaveNothingBehindThatTheNextOneTripsOver) {
  for (int i = 0; i < 100; ++i) {
    auto producer = Make();
    SendNumbers(*producer, 1);
    ASSERT_TRUE(producer->Close(kLong).ok());
  }
  EXPECT_EQ(hub_.Values("t", 0).size(), 100u);
}

TEST_F(ProducerTest, ARecordAboveItsLimitIsRefusedBySendAndNamesTheLimit) {
  options_.record_bytes_max = 100;
  auto producer = Make();
  const absl::Status refused = producer->Send("t", {.value = std::string(200, 'x')});
  EXPECT_EQ(ReasonOf(refused), Reason::kRecordTooLarge);
  EXPECT_EQ(MetadataValue(refused, "limit_bytes"), "100");
  EXPECT_THAT(std::string(refused.message()), HasSubstr("record_bytes_max"));
  EXPECT_TRUE(producer->Send("t", {.value = std::string(90, 'x')}).ok());
}

TEST_F(ProducerTest, AMessageThatTheBrokerDoesNotReceiveFailsAloneAndTheOthersArrive) {
  options_.record_bytes_max = 8 << 20;
  auto producer = Make();
  SendNumbers(*producer, 20);
  const std::string large(5 << 20, 'x');  // above what gRPC receives by default
  ASSERT_TRUE(
      producer->Send("t", {.value = large, .partition = PartitionId(0)}, deliveries_.For("large")).ok());
  SendNumbers(*producer, 20);
  EXPECT_TRUE(absl::IsResourceExhausted(producer->Flush(kLong)));
  EXPECT_TRUE(absl::IsResourceExhausted(deliveries_.Of("large").status)) << deliveries_.Of("large").status;
  EXPECT_TRUE(deliveries_.Of("19").status.ok());
  EXPECT_EQ(FirstOnly(hub_.Values("t", 0)), Numbers(20));
}

TEST_F(ProducerTest, AnUnknownTopicIsSaidBySendItself) {
  auto producer = Make();
  EXPECT_EQ(ReasonOf(producer->Send("nowhere", {.value = "x"})), Reason::kTopicNotFound);
}

TEST_F(ProducerTest, APartitionThatTheTopicDoesNotHaveIsSaidBySendItself) {
  auto producer = Make();
  EXPECT_EQ(ReasonOf(producer->Send("t", {.value = "x", .partition = PartitionId(3)})),
            Reason::kPartitionNotFound);
  hub_.AddTopic("t", 4);
  EXPECT_TRUE(producer->Send("t", {.value = "x", .partition = PartitionId(3)}).ok()) << "added meanwhile";
}

TEST_F(ProducerTest, WithAcksNoneThereIsNoOffset) {
  options_.acks = naru::v1::ACKS_NONE;
  auto producer = Make();
  SendNumbers(*producer, 3);
  ASSERT_TRUE(producer->Flush(kLong).ok());
  EXPECT_TRUE(deliveries_.Of("2").status.ok());
  EXPECT_EQ(deliveries_.Of("2").offset, -1);
}

TEST_F(ProducerTest, ALeaderThatCannotBeReachedIsReachedThroughAnotherServer) {
  hub_.AdvertiseLeaderAt("127.0.0.1:1");
  auto producer = Make();
  SendNumbers(*producer, 3);
  ASSERT_TRUE(producer->Flush(kLong).ok());
  EXPECT_EQ(hub_.Values("t", 0), Numbers(3));
}

TEST_F(ProducerTest, ManyThreadsAndPartitionsUnderFaultsLoseNothingAndKeepEachThreadsOrder) {
  options_.idempotent = false;
  options_.batch_bytes = 100;
  hub_.OnItem([](int number, const auto&) {
    ItemFate fate;
    if (number % 17 == 3) fate.error = Reason::kTooManyInFlight;
    if (number % 41 == 7) fate.break_after = true;
    return fate;
  });
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
    const auto first = FirstOnly(hub_.Values("t", partition));
    EXPECT_EQ(first.size(), static_cast<size_t>(kThreads * kRecords / 3));
    for (int thread = 0; thread < kThreads; ++thread) {
      int expected = partition;
      const std::string prefix = absl::StrCat(thread, "-");
      for (const std::string& value : first) {
        if (value.rfind(prefix, 0) != 0) continue;
        EXPECT_EQ(value, absl::StrCat(prefix, expected));
        expected += 3;
      }
    }
  }
}

TEST(ProducerOptions, AnOptionOutsideItsRangeIsNamed) {
  auto field = [](auto change) {
    ProducerOptions options;
    change(options);
    return MetadataValue(ValidateProducerOptions(options), "field");
  };
  EXPECT_EQ(field([](auto& o) { o.batch_bytes = 0; }), "batch_bytes");
  EXPECT_EQ(field([](auto& o) { o.batch_bytes = 3 << 20; }), "batch_bytes");
  EXPECT_EQ(field([](auto& o) { o.linger = -absl::Seconds(1); }), "linger");
  EXPECT_EQ(field([](auto& o) { o.buffer_bytes_max = 10; }), "buffer_bytes_max");
  EXPECT_EQ(field([](auto& o) { o.in_flight_batches_max = 0; }), "in_flight_batches_max");
  EXPECT_EQ(field([](auto& o) { o.delivery_timeout = absl::ZeroDuration(); }), "delivery_timeout");
  EXPECT_EQ(field([](auto&) {}), "");
}

}  // namespace
}  // namespace naru::client
