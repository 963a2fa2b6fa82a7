// Subscribe over a real connection.
#include <atomic>
#include <map>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "services/consume/consume_service.h"
#include "tests/services/hub.h"
#include "tests/services/subscription.h"

namespace naru::services {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class SubscribeTest : public ::testing::Test {
 protected:
  void SetUp() override { hub_.catalog.SetTopic("t", 3); }
  Hub hub_;
};

TEST_F(SubscribeTest, RecordsOfAllPartitionsComeInOrderWithTheirOffsets) {
  for (int i = 0; i < 30; ++i) hub_.Append("t", i % 3, {std::to_string(i)});
  Subscription subscription(hub_, StartAll("t"));
  std::map<int, std::vector<std::string>> values;
  for (size_t seen = 0; seen < 30;) {
    const naru::v1::SubscribeResponse response = subscription.Next();
    ASSERT_TRUE(response.has_delivery()) << response.DebugString();
    const naru::v1::PartitionDelivery& delivery = response.delivery();
    EXPECT_EQ(delivery.topic(), "t");
    std::vector<std::string>& got = values[delivery.partition()];
    for (const naru::v1::Record& record : delivery.records()) {
      EXPECT_EQ(record.offset(), static_cast<int64_t>(got.size()));
      got.push_back(record.value());
      ++seen;
    }
    EXPECT_EQ(delivery.next_offset(), static_cast<int64_t>(got.size()));
    EXPECT_EQ(delivery.high_watermark(), 10);
  }
  for (int p = 0; p < 3; ++p) {
    for (int i = 0; i < 10; ++i) EXPECT_EQ(values[p][i], std::to_string(i * 3 + p));
  }
}

TEST_F(SubscribeTest, RecordsAppendedLaterFollow) {
  Subscription subscription(hub_, StartAll("t"));
  for (int i = 0; i < 20; ++i) {
    hub_.Append("t", i % 3, {std::to_string(i)});
    EXPECT_THAT(Values(subscription.NextDelivery().records()), ElementsAre(std::to_string(i)));
  }
}

TEST_F(SubscribeTest, LatestBeginsAtTheEndAndATimeAtItsRecord) {
  hub_.Append("t", 0, {"a", "b", "c"}, 1000);
  naru::v1::SubscribeStart start = StartAll("t");
  start.mutable_topics(0)->set_timestamp_ms(1001);
  Subscription by_time(hub_, start);
  EXPECT_THAT(Values(by_time.NextDelivery().records()), ElementsAre("b", "c"));
  start.mutable_topics(0)->set_position(naru::v1::POSITION_LATEST);
  start.set_idle_interval_ms(100);
  Subscription latest(hub_, start);
  EXPECT_TRUE(latest.Next().has_idle());
  hub_.Append("t", 0, {"d"});
  EXPECT_THAT(Values(latest.NextDelivery().records()), ElementsAre("d"));
}

TEST_F(SubscribeTest, SeveralTopicsAndPartitionsEachFromTheirOwnOffset) {
  hub_.catalog.SetTopic("u", 1);
  hub_.Append("t", 1, {"a", "b", "c"});
  hub_.Append("u", 0, {"x", "y"});
  naru::v1::SubscribeStart start;
  naru::v1::TopicSubscription& t = *start.add_topics();
  t.set_topic("t");
  t.add_partitions()->set_partition(1);
  t.mutable_partitions(0)->set_offset(2);
  naru::v1::TopicSubscription& u = *start.add_topics();
  u.set_topic("u");
  u.add_partitions()->set_offset(1);
  Subscription subscription(hub_, start);
  std::map<std::string, std::vector<std::string>> values;
  for (int i = 0; i < 2; ++i) {
    const naru::v1::PartitionDelivery delivery = subscription.NextDelivery();
    values[delivery.topic()] = Values(delivery.records());
  }
  EXPECT_THAT(values["t"], ElementsAre("c"));
  EXPECT_THAT(values["u"], ElementsAre("y"));
}

TEST_F(SubscribeTest, TheStreamEndsWithOkWhenEveryEndOffsetIsReached) {
  for (int p = 0; p < 2; ++p) hub_.Append("t", p, {"a", "b", "c"});
  naru::v1::SubscribeStart start;
  start.add_topics()->set_topic("t");
  for (int p = 0; p < 2; ++p) {
    naru::v1::PartitionSubscription& partition = *start.mutable_topics(0)->add_partitions();
    partition.set_partition(p);
    partition.set_end_offset(2);
  }
  Subscription subscription(hub_, start);
  int records = 0;
  int ends = 0;
  for (int i = 0; i < 4; ++i) {
    const naru::v1::SubscribeResponse response = subscription.Next();
    records += response.delivery().records_size();
    ends += response.has_end_reached();
    EXPECT_EQ(response.end_reached().next_offset(), response.has_end_reached() ? 2 : 0);
  }
  EXPECT_EQ(records, 4);
  EXPECT_EQ(ends, 2);
  EXPECT_EQ(subscription.End().code, grpc::StatusCode::OK);
}

TEST_F(SubscribeTest, CreditBoundsWhatIsSentUntilMoreIsGiven) {
  for (int i = 0; i < 10; ++i) hub_.Append("t", 0, {std::string(1000, 'x')});
  naru::v1::SubscribeStart start = StartAll("t");
  start.set_max_message_bytes(2'000);
  start.set_credit_bytes(1);
  start.set_idle_interval_ms(100);
  Subscription subscription(hub_, start);
  EXPECT_TRUE(subscription.Next().has_delivery());
  const naru::v1::SubscribeResponse idle = subscription.Next();
  ASSERT_TRUE(idle.has_idle());
  EXPECT_EQ(idle.idle().credit_bytes(), 0);
  subscription.GiveCredit(1);
  EXPECT_TRUE(subscription.Next().has_idle()) << "what was sent over the credit is paid first";
  subscription.GiveCredit(3'000);
  EXPECT_TRUE(subscription.Next().has_delivery());
}

TEST_F(SubscribeTest, HalfClosingWithCreditEndsWhenItIsUsed) {
  for (int i = 0; i < 10; ++i) hub_.Append("t", 0, {std::string(1000, 'x')});
  naru::v1::SubscribeStart start = StartAll("t");
  start.set_credit_bytes(3'000);
  start.set_max_message_bytes(1'600);
  Subscription subscription(hub_, start);
  subscription.HalfClose();
  int records = 0;
  for (naru::v1::SubscribeResponse response; subscription.Read(response);) {
    records += response.delivery().records_size();
  }
  EXPECT_EQ(records, 3);
  EXPECT_EQ(subscription.End().code, grpc::StatusCode::OK);
}

TEST_F(SubscribeTest, StoredBatchesComeVerbatim) {
  hub_.Append("t", 0, {"a", "b"});
  naru::v1::SubscribeStart start = StartAll("t");
  start.set_delivery(naru::v1::DELIVERY_STORED_BATCHES);
  Subscription subscription(hub_, start);
  const naru::v1::PartitionDelivery delivery = subscription.NextDelivery();
  ASSERT_EQ(delivery.batches_size(), 1);
  EXPECT_THAT(delivery.records(), IsEmpty());
  EXPECT_THAT(Values(delivery.batches(0).batch().records()), ElementsAre("a", "b"));
}

TEST_F(SubscribeTest, PartitionsAddedLaterAreRead) {
  Subscription subscription(hub_, StartAll("t"));
  hub_.catalog.Grow("t", 5);
  hub_.Append("t", 4, {"new"});
  const naru::v1::PartitionDelivery delivery = subscription.NextDelivery();
  EXPECT_EQ(delivery.partition(), 4);
  EXPECT_THAT(Values(delivery.records()), ElementsAre("new"));
}

TEST_F(SubscribeTest, ADeletedTopicIsAFailureOfEachPartitionAndOtherTopicsGoOn) {
  hub_.catalog.SetTopic("u", 1);
  naru::v1::SubscribeStart start = StartAll("t");
  start.add_topics()->set_topic("u");
  hub_.Append("t", 1, {"a"});
  Subscription subscription(hub_, start);
  subscription.NextDelivery();
  hub_.catalog.Delete("t");
  for (int p = 0; p < 3; ++p) {
    const naru::v1::SubscribeResponse response = subscription.Next();
    ASSERT_TRUE(response.has_failure()) << response.DebugString();
    EXPECT_EQ(response.failure().topic(), "t");
  }
  hub_.Append("u", 0, {"x"});
  EXPECT_EQ(subscription.NextDelivery().topic(), "u");
}

TEST_F(SubscribeTest, ATopicDeletedWhileItIsReadIsNamedInTheFailures) {
  hub_.appends.BeforeRead([&] { hub_.catalog.Delete("t"); });
  Subscription subscription(hub_, StartAll("t"));
  for (int p = 0; p < 3; ++p) {
    const naru::v1::SubscribeResponse response = subscription.Next();
    ASSERT_TRUE(response.has_failure()) << response.DebugString();
    EXPECT_EQ(response.failure().error().reason(), "TOPIC_NOT_FOUND");
    EXPECT_EQ(response.failure().error().metadata().at("topic"), "t");
  }
}

TEST_F(SubscribeTest, ManyChangesOfTheCatalogAreToldTogether) {
  Subscription subscription(hub_, StartAll("t"));
  ASSERT_TRUE(WaitFor([&] { return hub_.consume.Counters().streams_open == 1; }));
  hub_.Append("t", 0, {"a"});
  subscription.NextDelivery();  // it has begun
  absl::Notification go_on;
  std::atomic<int> stopped{0};
  for (int i = 0; i < Hub::kExecutorThreads; ++i) {
    hub_.executor.Run([&] {
      ++stopped;
      go_on.WaitForNotification();
      --stopped;
    });
  }
  ASSERT_TRUE(WaitFor([&] { return stopped == Hub::kExecutorThreads; }));
  const int64_t looks = hub_.catalog.looks();
  for (int i = 0; i < 500; ++i) hub_.catalog.SetTopic("other", 1);
  hub_.catalog.Grow("t", 4);
  go_on.Notify();
  ASSERT_TRUE(WaitFor([&] { return stopped == 0; }));
  hub_.Append("t", 3, {"new"});
  EXPECT_EQ(subscription.NextDelivery().partition(), 3) << "the last change is seen";
  EXPECT_LE(hub_.catalog.looks(), looks + 20) << "far fewer than there were changes";
}

TEST_F(SubscribeTest, AnOffsetThatIsGoneIsAFailureOfItsPartitionOnly) {
  hub_.Append("t", 0, {"a", "b"});
  hub_.Append("t", 1, {"c"});
  hub_.store.MoveLogStart(hub_.catalog.Log("t", 0), Offset(1), [](absl::Status) {});
  naru::v1::SubscribeStart start;
  start.add_topics()->set_topic("t");
  for (int p = 0; p < 2; ++p) {
    start.mutable_topics(0)->add_partitions()->set_partition(p);
    start.mutable_topics(0)->mutable_partitions(p)->set_offset(0);
  }
  Subscription subscription(hub_, start);
  const naru::v1::SubscribeResponse failed = subscription.Next();
  ASSERT_TRUE(failed.has_failure());
  EXPECT_EQ(failed.failure().partition(), 0);
  EXPECT_EQ(failed.failure().error().reason(), "OFFSET_OUT_OF_RANGE");
  EXPECT_EQ(failed.failure().error().metadata().at("log_start_offset"), "1");
  EXPECT_THAT(Values(subscription.NextDelivery().records()), ElementsAre("c"));
}

TEST_F(SubscribeTest, ACancelledStreamLeavesNothingBehind) {
  hub_.Append("t", 0, {"a"});
  {
    Subscription subscription(hub_, StartAll("t"));
    subscription.NextDelivery();
  }
  EXPECT_TRUE(WaitFor([&] {
    return hub_.consume.Counters().streams_open == 0 && hub_.consume.Counters().memory_used_bytes == 0;
  }));
  hub_.Append("t", 0, {"b"});
}

TEST_F(SubscribeTest, ShutdownEndsStreamsWithShuttingDown) {
  Subscription subscription(hub_, StartAll("t"));
  ASSERT_TRUE(WaitFor([&] { return hub_.consume.Counters().streams_open == 1; }));
  hub_.consume.Shutdown();
  const CallEnd end = subscription.End();
  EXPECT_EQ(end.code, grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(end.reason, "SHUTTING_DOWN");
}

TEST_F(SubscribeTest, ThousandsOfIdleStreamsAreServedTogetherWhenARecordComes) {
  constexpr int kStreams = 1000;
  std::vector<std::unique_ptr<Subscription>> subscriptions;
  for (int i = 0; i < kStreams; ++i) {
    subscriptions.push_back(std::make_unique<Subscription>(hub_, StartAll("t")));
  }
  ASSERT_TRUE(WaitFor([&] { return hub_.consume.Counters().streams_open == kStreams; }));
  ASSERT_TRUE(WaitFor([&] { return hub_.consume.Counters().memory_used_bytes == 0; }));
  hub_.Append("t", 1, {"x"});
  for (auto& subscription : subscriptions) {
    EXPECT_THAT(Values(subscription->NextDelivery().records()), ElementsAre("x"));
  }
}

}  // namespace
}  // namespace naru::services
