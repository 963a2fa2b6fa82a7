#include "clients/cpp/subscription.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/clients/fake_hub.h"
#include "tests/clients/patience.h"

namespace naru::client {
namespace {

using ::testing::ElementsAre;
using testing::FakeHub;

class SubscriptionTest : public ::testing::Test {
 protected:
  SubscriptionTest() {
    hub_.AddTopic("t", 2);
    ClientOptions options{.servers = {hub_.address()}};
    options.backoff = {.initial = absl::Milliseconds(1), .max = absl::Milliseconds(5)};
    client_ = *Client::Create(options);
    start_.add_topics()->set_topic("t");
  }

  std::unique_ptr<Subscription> Open() {
    auto subscription = Subscription::Open(client_, start_, options_);
    EXPECT_TRUE(subscription.ok()) << subscription.status();
    return *std::move(subscription);
  }
  // Bounds every partition at its end as of now.
  void UntilTheEnd(int64_t end0, int64_t end1) {
    const int64_t ends[] = {end0, end1};
    for (int partition = 0; partition < 2; ++partition) {
      auto* added = start_.mutable_topics(0)->add_partitions();
      added->set_partition(partition);
      added->set_end_offset(ends[partition]);
    }
  }
  static SubscriptionEvent NextEvent(Subscription& subscription) {
    auto event = subscription.Next(kLong);
    EXPECT_TRUE(event.ok() && *event) << event.status();
    return event.ok() && *event ? **std::move(event) : SubscriptionEvent(SubscriptionEnded());
  }
  // The values of a partition's records until the subscription ends.
  static std::vector<std::string> ReadToEnd(Subscription& subscription, int partition) {
    std::vector<std::string> values;
    while (true) {
      auto event = subscription.Next(kLong);
      if (!event.ok() || !*event) {
        ADD_FAILURE() << event.status();
        return values;
      }
      if (std::holds_alternative<SubscriptionEnded>(**event)) return values;
      const auto* delivery = std::get_if<PartitionRecords>(&**event);
      if (delivery == nullptr || delivery->head.partition() != partition) continue;
      for (const ReceivedRecord& record : delivery->records) values.emplace_back(*record.value);
    }
  }

  FakeHub hub_;
  std::shared_ptr<Client> client_;
  naru::v1::SubscribeStart start_;
  SubscriptionOptions options_;
};

TEST_F(SubscriptionTest, ReadsFromTheEarliestToTheEndsAndThenSaysSo) {
  for (int i = 0; i < 5; ++i) hub_.Append("t", 0, absl::StrCat(i));
  UntilTheEnd(4, 0);
  auto subscription = Open();
  EXPECT_THAT(ReadToEnd(*subscription, 0), ElementsAre("0", "1", "2", "3"));
  EXPECT_TRUE(std::holds_alternative<SubscriptionEnded>(**subscription->Next(kLong))) << "and again";
  const auto positions = subscription->Positions();
  ASSERT_EQ(positions.size(), 2u);
  EXPECT_EQ(positions[0].next_offset, 4);
  EXPECT_EQ(positions[1].next_offset, 0);
}

TEST_F(SubscriptionTest, ABrokenStreamGoesOnAtTheNextOffsetWithoutGapsOrRepeats) {
  std::vector<std::string> expected;
  for (int i = 0; i < 30; ++i) {
    hub_.Append("t", 0, absl::StrCat(i));
    expected.push_back(absl::StrCat(i));
  }
  hub_.BreakSubscribeAt({1, 4, 5, 20});
  UntilTheEnd(30, 0);
  auto subscription = Open();
  EXPECT_EQ(ReadToEnd(*subscription, 0), expected);
  EXPECT_EQ(hub_.subscribe_streams(), 5);
}

TEST_F(SubscriptionTest, WhatCannotBeReadEndsItForGood) {
  hub_.Append("t", 0, "0");
  hub_.AppendUnreadable("t", 0);
  auto subscription = Open();
  EXPECT_EQ(std::get<PartitionRecords>(NextEvent(*subscription)).records[0].value, "0");
  const absl::Status why = subscription->Next(kLong).status();
  EXPECT_EQ(ReasonOf(why), Reason::kCorruptData) << why;
  EXPECT_EQ(subscription->Next(kLong).status(), why);
  EXPECT_EQ(hub_.subscribe_streams(), 1);
}

TEST_F(SubscriptionTest, BegunAtTheLatestAndBrokenAtOnceItStillBeginsWhereItWasOpened) {
  hub_.Append("t", 0, "old");
  hub_.BreakSubscribeAt({1});
  start_.mutable_topics(0)->set_position(naru::v1::POSITION_LATEST);
  auto subscription = Open();
  hub_.Append("t", 0, "new");
  hub_.Append("t", 0, "newer");
  auto event = subscription->Next(kLong);
  ASSERT_TRUE(event.ok() && *event) << event.status();
  EXPECT_EQ(std::get<PartitionRecords>(**event).records[0].value, "new");
}

TEST_F(SubscriptionTest, CreditBoundsWhatIsSentToAnApplicationThatDoesNotTake) {
  options_.credit_bytes = 2'000;
  const std::string value(100, 'x');
  for (int i = 0; i < 200; ++i) hub_.Append("t", 0, value);
  UntilTheEnd(200, 0);
  auto subscription = Open();
  EXPECT_EQ(ReadToEnd(*subscription, 0).size(), 200u);
  EXPECT_LE(hub_.credit_overdrawn(), 200) << "one delivery beyond the credit at most";
}

TEST_F(SubscriptionTest, PartitionsAddedLaterAreFoundAndReadFromTheirBeginning) {
  options_.new_partitions_interval = absl::Milliseconds(1);
  auto subscription = Open();
  hub_.AddTopic("t", 3);
  hub_.Append("t", 2, "in the new one");
  hub_.Append("t", 0, "wakes the stream");
  bool found = false;
  while (!found) {
    auto event = subscription->Next(kLong);
    ASSERT_TRUE(event.ok() && *event) << event.status();
    const auto& delivery = std::get<PartitionRecords>(**event);
    found = delivery.head.partition() == 2;
  }
}

TEST_F(SubscriptionTest, ATopicMadeAnewMeanwhileFailsInsteadOfBeingReadOn) {
  for (int i = 0; i < 3; ++i) hub_.Append("t", 0, "old");
  auto subscription = Open();
  int old = 0;
  while (old < 3)
    old += static_cast<int>(std::get<PartitionRecords>(NextEvent(*subscription)).records.size());
  hub_.RemakeTopic("t", 2);
  for (int i = 0; i < 8; ++i) hub_.Append("t", 0, "new");
  for (int partition = 0; partition < 2; ++partition) {
    const SubscriptionEvent event = NextEvent(*subscription);
    ASSERT_TRUE(std::holds_alternative<PartitionFailed>(event));
    const auto& failed = std::get<PartitionFailed>(event);
    EXPECT_EQ(failed.position.partition, partition);
    EXPECT_EQ(failed.position.next_offset, partition == 0 ? 3 : 0);
    EXPECT_EQ(ReasonOf(failed.status), Reason::kTopicNotFound) << failed.status;
  }
  EXPECT_TRUE(std::holds_alternative<SubscriptionEnded>(NextEvent(*subscription)));
}

TEST_F(SubscriptionTest, ATopicThatIsGoneAtAReconnectFailsAloneAndTheOthersGoOn) {
  hub_.AddTopic("gone", 1);
  start_.add_topics()->set_topic("gone");
  auto subscription = Open();
  hub_.RemoveTopic("gone");
  const SubscriptionEvent event = NextEvent(*subscription);
  ASSERT_TRUE(std::holds_alternative<PartitionFailed>(event));
  EXPECT_EQ(std::get<PartitionFailed>(event).position.topic, "gone");
  EXPECT_EQ(ReasonOf(std::get<PartitionFailed>(event).status), Reason::kTopicNotFound);
  hub_.Append("t", 1, "still there");
  EXPECT_EQ(std::get<PartitionRecords>(NextEvent(*subscription)).records[0].value, "still there");
}

TEST_F(SubscriptionTest, APartitionAddedToATopicMadeAnewIsNotOneOfTheOldTopic) {
  options_.new_partitions_interval = absl::Milliseconds(1);
  auto subscription = Open();
  hub_.RemakeTopic("t", 5);
  for (int failed = 0; failed < 2; ++failed) {
    ASSERT_TRUE(std::holds_alternative<PartitionFailed>(NextEvent(*subscription)));
  }
  EXPECT_TRUE(std::holds_alternative<SubscriptionEnded>(NextEvent(*subscription)));
  EXPECT_EQ(subscription->Positions().size(), 2u);
}

TEST_F(SubscriptionTest, PartitionsAddedBehindThoseThatAreNamedAreReadWhenAskedFor) {
  for (int i = 0; i < 3; ++i) hub_.Append("t", 1, absl::StrCat(i));
  for (int partition = 0; partition < 2; ++partition) {
    auto* added = start_.mutable_topics(0)->add_partitions();
    added->set_partition(partition);
    added->set_offset(2 * partition);
  }
  options_.new_partitions_interval = absl::Milliseconds(1);
  options_.read_added_partitions = true;
  auto subscription = Open();
  EXPECT_EQ(std::get<PartitionRecords>(NextEvent(*subscription)).records[0].value, "2");
  hub_.AddTopic("t", 3);
  hub_.Append("t", 2, "in the new one");
  EXPECT_EQ(std::get<PartitionRecords>(NextEvent(*subscription)).records[0].value, "in the new one");
}

TEST_F(SubscriptionTest, ReconnectionsAdmitNoMoreThanThereIsRoomFor) {
  options_.credit_bytes = 2'000;
  const std::string value(100, 'x');
  std::set<int> breaks;
  for (int i = 0; i < 300; ++i) {
    hub_.Append("t", 0, value);
    if (i % 7 == 3) breaks.insert(i);
  }
  hub_.BreakSubscribeAt(breaks);
  UntilTheEnd(300, 0);
  auto subscription = Open();
  int64_t taken = 0;
  int64_t most = 0;
  while (true) {
    const SubscriptionEvent event = NextEvent(*subscription);
    if (std::holds_alternative<SubscriptionEnded>(event)) break;
    most = std::max(most, hub_.credit_used() - taken);
    if (const auto* delivery = std::get_if<PartitionRecords>(&event)) taken += delivery->head.credit_bytes();
  }
  EXPECT_EQ(taken, hub_.credit_used());
  // A delivery beyond the credit, and as it is there the next stream has a byte, so one more.
  EXPECT_LE(most, options_.credit_bytes + 2 * taken / 300);
}

TEST_F(SubscriptionTest, ItEndsAtOnceWhileItWaitsForAServer) {
  auto gone = std::make_unique<FakeHub>();
  gone->AddTopic("t", 1);
  ClientOptions options{.servers = {gone->address()}, .connect_timeout = kLong};
  options.backoff = {.initial = absl::Nanoseconds(1), .max = absl::Nanoseconds(1)};
  auto client = *Client::Create(options);
  auto subscription = *Subscription::Open(client, start_, options_);
  // A first stream that finds no server waits for connect_timeout before it is one that failed.
  while (gone->subscribe_streams() == 0) std::this_thread::yield();
  const absl::Time began = absl::Now();
  gone.reset();
  while (subscription->ConnectionStatus().ok()) std::this_thread::yield();
  // Nobody is reached, so by then it waits as well.
  EXPECT_FALSE(client->RefreshTopic("t", absl::Milliseconds(200)).ok());
  subscription.reset();
  EXPECT_LT(absl::Now() - began, kLong / 4);
}

TEST_F(SubscriptionTest, ItEndsAtOnceWhileItWaitsForMetadata) {
  options_.new_partitions_interval = absl::Milliseconds(1);
  auto subscription = Open();
  hub_.HoldMetadata();
  while (hub_.metadata_calls_held() == 0) std::this_thread::yield();
  const absl::Time began = absl::Now();
  subscription.reset();
  EXPECT_LT(absl::Now() - began, kLong / 4);
}

TEST_F(SubscriptionTest, NextGivesNothingWhenNothingComes) {
  auto subscription = Open();
  auto event = subscription->Next(absl::Milliseconds(1));
  ASSERT_TRUE(event.ok());
  EXPECT_FALSE(event->has_value());
}

TEST_F(SubscriptionTest, CancelWakesAWaitingNext) {
  auto subscription = Open();
  std::thread canceller([&] { subscription->Cancel(); });
  EXPECT_TRUE(absl::IsCancelled(subscription->Next(kLong).status()));
  canceller.join();
}

TEST_F(SubscriptionTest, AnUnknownTopicIsSaidByOpen) {
  start_.mutable_topics(0)->set_topic("nowhere");
  EXPECT_TRUE(absl::IsNotFound(Subscription::Open(client_, start_, options_).status()));
}

TEST_F(SubscriptionTest, OptionsThatMakeNoSenseAreNamed) {
  options_.credit_bytes = 0;
  EXPECT_EQ(MetadataValue(Subscription::Open(client_, start_, options_).status(), "field"), "credit_bytes");
  EXPECT_EQ(MetadataValue(Subscription::Open(client_, {}, {}).status(), "field"), "topics");
}

TEST(SubscriptionWithoutServers, FailsWithinItsTimeAndNamesTheServers) {
  ClientOptions options{.servers = {"127.0.0.1:1"}};
  options.connect_timeout = absl::Milliseconds(50);
  naru::v1::SubscribeStart start;
  start.add_topics()->set_topic("t");
  const auto status = Subscription::Open(*Client::Create(options), start, {}).status();
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("127.0.0.1:1"));
}

}  // namespace
}  // namespace naru::client
